//! `tailor heal` on the command line: trained, taught, killed, refused.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Family, Result};

/// The tasks' documents; the made-up family has no training split.
const TEXT: &str = "--tasks words --include tasks --split validation --held-back 0.2 --quiet";

/// `math` without its third and fourth layer.
const CUT: &str = "tailor: 1\nmodels: {base: models/base, math: models/math}\nbase: base\nlayers: [\
                   {take: {model: math, layer: 0}}, {take: {model: math, layer: 1}}, \
                   {take: {model: math, layer: 4}}, {take: {model: math, layer: 5}}]\n";

fn family() -> Result<Family> {
    let family = Family::new()?;
    family.write("cut.yaml", CUT)?;
    Ok(family)
}

/// The losses on held-back text, the start first.
fn losses(family: &Family, folder: &str) -> Result<Vec<f64>> {
    let curve = family.json(&format!("{folder}/curve.json"))?;
    let points = curve["curve"].as_array().ok_or("no curve")?;
    Ok(points.iter().filter_map(|point| point["validation"].as_f64()).collect())
}

#[test]
fn a_cut_model_learns_from_its_parent_and_is_a_plain_checkpoint() -> Result {
    let family = family()?;
    let heal = format!("heal cut.yaml healed --teacher models/math --tokens 6000 --batch 128 --rate 1e-3 {TEXT}");
    let said = family.run(&heal)?;
    assert!(said.contains("healed: 4 layers") && said.contains("held-back loss"), "{said}");
    let losses = losses(&family, "healed")?;
    assert!(losses.last().ok_or("no loss")? < &(0.8 * losses[0]), "{losses:?}");
    assert_eq!(family.json("healed/config.json")?["num_hidden_layers"], 4);
    for file in ["tokenizer.json", "README.md", "curve.svg", "model.safetensors"] {
        assert!(family.path("healed").join(file).is_file(), "{file}");
    }
    assert!(!family.path("healed/tailor_recipe.yaml").exists(), "a recipe does not make these weights");
    assert!(!family.path("healed.healing").exists(), "the work folder is gone");
    family.run("eval healed --tasks words --include tasks --output scores.json")?;
    Ok(())
}

#[test]
fn a_studys_best_parents_teach() -> Result {
    let family = family()?;
    family.run(&format!("heal cut.yaml one --study study.toml --tokens 2000 --rate 1e-3 {TEXT}"))?;
    family.run("search study.toml --out found --quiet")?;
    family.run("heal found two --split validation --held-back 0.2 --tokens 2000 --rate 1e-3 --quiet")?;
    for folder in ["one", "two"] {
        let losses = losses(&family, folder)?;
        assert!(losses.last().ok_or("no loss")? < &losses[0], "{folder}: {losses:?}");
        assert_eq!(family.json(&format!("{folder}/config.json"))?["num_hidden_layers"], 4);
    }
    Ok(())
}

/// The page and the text show a healed model with its curve and its scores; another heal to the same place replaces it.
#[test]
fn a_studys_report_shows_what_was_healed() -> Result {
    let family = family()?;
    family.run("search study.toml --out found --quiet")?;
    let page = || std::fs::read_to_string(family.path("found/report.html"));
    assert!(!page()?.contains("Healing"));
    let heal = "--split validation --held-back 0.2 --tokens 2000 --quiet";
    assert!(family.run(&format!("heal found healed --rate 1e-3 {heal}"))?.contains("tailor report"));
    family.run(&format!("heal found/best.yaml low --study study.toml --train lora --rank 4 {heal}"))?;
    let said = family.run("report found --quiet")?;
    for part in ["| healed: healed ", "| healed: low ", "distill, all, ", "distill, lora of rank 4, ", "rate 1e-3"] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    assert_eq!(said.matches("the chosen recipe").count(), 2, "{said}");
    let page = page()?;
    assert!(page.contains("<h2>Healing</h2>") && page.contains("healed: healed"));
    assert_eq!(page.matches("aria-label=\"Loss by tokens\"").count(), 2, "a curve for each");

    // The same score as by itself, and it is not scored again.
    family.run("eval healed --tasks words --include tasks --output healed.json")?;
    let own = family.json("healed.json")?["results"]["words"]["acc,none"].clone();
    let test = family.json("found/test.json")?;
    assert_eq!(test["trained"][0]["scores"][0]["score"], own);
    assert_eq!(test["trained"][0]["layers"], 4);
    assert!(
        !family
            .tailor("report found")
            .output()
            .map(|out| String::from_utf8_lossy(&out.stderr).into_owned())?
            .contains("scoring")
    );

    std::fs::remove_dir_all(family.path("healed"))?;
    family.run(&format!("heal found healed --objective lm {heal}"))?;
    std::fs::remove_dir_all(family.path("low"))?;
    let said = family.run("report found --quiet")?;
    assert!(said.contains(" lm, all, ") && !said.contains("rate 1e-3"), "{said}");
    assert!(said.contains("not scored") && !said.contains("| healed: low "), "{said}");
    Ok(())
}

#[test]
fn the_same_command_writes_the_same_weights_and_text_alone_can_be_learnt() -> Result {
    let family = family()?;
    family.write("notes.txt", "w3 w4 w5 w6 w7\n\nw5 w6 w7 w8 w9\n\nw9 w10 w11 w12\n\nw3 w4 w5 w6\n")?;
    for (folder, threads) in [("one", "1"), ("two", "3")] {
        let heal = format!("heal models/base {folder} --text notes.txt --objective lm --tokens 900 --rate 1e-3 {TEXT}");
        assert!(family.tailor(&heal).env("RAYON_NUM_THREADS", threads).output()?.status.success());
    }
    let weights = |folder: &str| std::fs::read(family.path(folder).join("model.safetensors"));
    assert!(weights("one")? == weights("two")?, "the same weights, whatever the number of threads");
    assert!(weights("one")? != weights("models/base")?);
    Ok(())
}

/// The loss of a choice among others is another one than that of its text, and falls.
#[test]
fn the_right_choice_is_learnt_among_the_others() -> Result {
    let family = family()?;
    for objective in ["lm", "choices"] {
        let heal = format!("heal models/base {objective} --objective {objective} --tokens 3000 --rate 1e-3 {TEXT}");
        family.run(&heal)?;
    }
    let (text, choices) = (losses(&family, "lm")?, losses(&family, "choices")?);
    assert!(choices.last().ok_or("no loss")? < &choices[0], "{choices:?}");
    assert!(choices[0] > text[0] && text[0] > 0.0, "the other choices count too: {choices:?}, {text:?}");
    Ok(())
}

/// Whatever the number of threads, and with the teacher that the study has for the prompt's task.
#[test]
fn teachers_write_documents_that_are_learnt() -> Result {
    let family = family()?;
    let heal = format!("--generate 30 --generate-tokens 12 --tokens 2000 --rate 1e-3 {TEXT}");
    for (folder, threads) in [("one", "1"), ("two", "3")] {
        let heal = format!("heal cut.yaml {folder} --teacher models/math {heal}");
        assert!(family.tailor(&heal).env("RAYON_NUM_THREADS", threads).output()?.status.success());
    }
    family.run(&format!("heal cut.yaml plain --teacher models/math {}", heal.replace("--generate 30", "")))?;
    family.run(&format!("heal cut.yaml cold --teacher models/math --temperature 0 {heal}"))?;
    family.run(&format!("heal cut.yaml study --study study.toml {heal}"))?;
    family.run(&format!("heal cut.yaml lm --teacher models/math --objective lm {heal}"))?;
    let weights = |folder: &str| std::fs::read(family.path(folder).join("model.safetensors"));
    assert!(weights("one")? == weights("two")?, "the same documents, whatever the number of threads");
    assert!(weights("one")? != weights("plain")? && weights("one")? != weights("cold")?);
    for folder in ["one", "cold", "study", "lm"] {
        let losses = losses(&family, folder)?;
        assert!(losses.last().ok_or("no loss")? < &losses[0], "{folder}: {losses:?}");
    }
    // What is held back is never written by a teacher, so the losses can be compared.
    assert_eq!(losses(&family, "one")?[0], losses(&family, "plain")?[0]);
    let card = std::fs::read_to_string(family.path("one/README.md"))?;
    assert!(card.contains("30 of the documents were written by the teachers"), "{card}");
    Ok(())
}

/// The losses at the start are the same, the weights at the end are not.
#[test]
fn hidden_states_of_the_teachers_are_learnt() -> Result {
    let family = family()?;
    let heal = format!("--tokens 2000 --batch 128 --rate 1e-3 {TEXT}");
    family.run(&format!("heal cut.yaml plain --teacher models/math {heal}"))?;
    family.run(&format!("heal cut.yaml one --teacher models/math --hidden-weight 0.5 {heal}"))?;
    family.run(&format!("heal cut.yaml study --study study.toml --hidden-weight 0.5 {heal}"))?;
    let weights = |folder: &str| std::fs::read(family.path(folder).join("model.safetensors"));
    assert!(weights("one")? != weights("plain")?);
    assert_eq!(losses(&family, "one")?[0], losses(&family, "plain")?[0]);
    for folder in ["one", "study"] {
        let losses = losses(&family, folder)?;
        assert!(losses.last().ok_or("no loss")? < &losses[0], "{folder}: {losses:?}");
    }
    for objective in ["lm", "choices"] {
        let heal = format!("heal cut.yaml out --objective {objective} --hidden-weight 0.5 {TEXT}");
        let complaint = family.fail(&heal)?;
        assert!(complaint.contains("--hidden-weight"), "{complaint}");
    }
    Ok(())
}

/// The rate that is taken is said, and half the optimiser's memory brings nearly as much.
#[test]
fn compact_memory_heals_too_at_the_rate_of_the_width() -> Result {
    let family = family()?;
    let heal = format!("--teacher models/math --tokens 6000 --batch 128 {TEXT}");
    let mut brought = Vec::new();
    for memory in ["full", "compact"] {
        let said = family.run(&format!("heal cut.yaml {memory} --optimizer-memory {memory} {heal}"))?;
        assert!(said.contains("at a rate of 9.4e-4"), "0.03 / 32: {said}");
        let losses = losses(&family, memory)?;
        brought.push(losses[0] - losses.last().ok_or("no loss")?);
    }
    assert!(brought[0] > 0.0 && (brought[1] / brought[0] - 1.0).abs() < 0.05, "{brought:?}");
    let complaint = family.fail(&format!("heal cut.yaml out --train lora --optimizer-memory compact {heal}"))?;
    assert!(complaint.contains("low-rank additions"), "{complaint}");
    Ok(())
}

#[test]
fn gaps_and_low_rank_additions_are_trained_alone() -> Result {
    let family = family()?;
    for train in ["gaps", "lora --rank 4"] {
        let folder = train.split(' ').next().unwrap_or(train);
        let heal = "--teacher models/math --tokens 3000 --batch 128 --rate 3e-3";
        family.run(&format!("heal cut.yaml {folder} --train {train} {heal} {TEXT}"))?;
        let losses = losses(&family, folder)?;
        assert!(losses.last().ok_or("no loss")? < &losses[0], "{train}: {losses:?}");
    }
    let complaint = family.fail(&format!("heal models/math out --train gaps --objective lm {TEXT}"))?;
    assert!(complaint.contains("models/math") && complaint.contains("gap"), "{complaint}");
    Ok(())
}

/// The state that a kill leaves is that of a validation; what came after it is done again.
#[test]
fn a_killed_training_goes_on_to_the_same_weights() -> Result {
    let family = family()?;
    let rest = format!(
        "--objective lm --count all --tokens 60000 --validations 60 --batch 64 --patience 99 --state-seconds 0 {TEXT}"
    );
    family.run(&format!("heal cut.yaml whole {rest}"))?;
    let mut killed = family.tailor(&format!("heal cut.yaml killed {rest}")).stdout(Stdio::null()).spawn()?;
    let state = family.path("killed.healing/state.safetensors");
    let begun = Instant::now();
    // Beyond the first validation, which is before the first step.
    while !std::fs::read(&state).is_ok_and(|bytes| step(&bytes).is_some_and(|step| step > 0)) {
        assert!(killed.try_wait()?.is_none(), "it ended before it was killed");
        assert!(begun.elapsed() < Duration::from_secs(60), "no state was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill()?;
    assert!(!killed.wait()?.success() && !family.path("killed").exists(), "killed before the end");
    family.run(&format!("heal cut.yaml killed {rest}"))?;
    let weights = |folder: &str| std::fs::read(family.path(folder).join("model.safetensors"));
    assert!(weights("whole")? == weights("killed")?, "the same weights");
    assert_eq!(losses(&family, "whole")?, losses(&family, "killed")?);
    Ok(())
}

/// How many steps a state says are done.
fn step(state: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(state.get(..8)?.try_into().ok()?);
    let header: Value = serde_json::from_slice(state.get(8..8 + usize::try_from(length).ok()?)?).ok()?;
    let progress: Value = serde_json::from_str(header["__metadata__"]["training"].as_str()?).ok()?;
    progress["step"].as_u64()
}

#[test]
fn what_is_wrong_is_one_message_before_the_first_step() -> Result {
    let family = family()?;
    family.write("empty.txt", "\n\n")?;
    let before = family.listing()?;
    let cases = [
        ("heal cut.yaml out --objective lm", "no text to train on"),
        ("heal models/nothing out --objective lm --tasks words --include tasks", "models/nothing"),
        ("heal cut.yaml out --objective lm --tasks wirds --include tasks", "did you mean `words`"),
        ("heal cut.yaml out --objective lm --text empty.txt", "empty.txt"),
        ("heal cut.yaml out --objective lm --text nothing.txt", "nothing.txt"),
        ("heal cut.yaml out --objective lm --tokens 0 --text empty.txt", "--tokens"),
        ("heal cut.yaml out --rate 0 --text empty.txt", "--rate"),
        ("heal cut.yaml out --device gpu --text empty.txt", "`gpu`"),
        ("heal cut.yaml out --compute bf16 --text empty.txt", "--compute is bf16"),
        ("heal cut.yaml out --device wgpu --optimizer-memory compact --text empty.txt", "--optimizer-memory"),
        ("heal cut.yaml out --generate 9 --objective lm --text empty.txt", "--generate"),
        ("heal cut.yaml out --generate 9 --temperature=-1 --text empty.txt", "--temperature"),
        ("heal cut.yaml out --generate 9 --generate-tokens 0 --text empty.txt", "--generate-tokens"),
        ("heal cut.yaml models --objective lm --tasks words --include tasks --split validation", "not empty"),
        ("heal cut.yaml out --objective lm --tasks words --include tasks --split nothing", "`nothing`"),
        ("heal cut.yaml out --objective lm --tasks words --include tasks --split validation --limit 1", "1 documents"),
    ];
    let no_teacher = format!("heal cut.yaml out {TEXT}");
    for (command, culprit) in cases.into_iter().chain([(no_teacher.as_str(), "--teacher")]) {
        let complaint = family.fail(command)?;
        assert!(complaint.contains(culprit), "tailor {command}: `{complaint}` does not name `{culprit}`");
        assert_eq!(family.listing()?, before, "tailor {command} left something behind");
    }
    family.replace("models/math/config.json", "\"llama\"", "\"gpt2\"")?;
    let complaint = family.fail(&format!("heal models/math out --objective lm {TEXT}"))?;
    assert!(complaint.contains("gpt2"), "{complaint}");
    Ok(())
}

/// A disk that fills: files may not grow beyond 64 KiB, as a limit of the shell says.
#[cfg(unix)]
#[test]
fn a_full_disk_is_one_message_and_nothing_is_left_at_the_output() -> Result {
    let family = family()?;
    let heal = format!("heal cut.yaml out --objective lm --count all --tokens 2000 {TEXT}");
    let script = format!("trap '' XFSZ; ulimit -f 128; exec {} {heal}", env!("CARGO_BIN_EXE_tailor"));
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(family.path("")).output()?;
    let complaint = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("out.healing") && !complaint.contains("panicked"), "{complaint}");
    assert!(!family.path("out").exists());
    Ok(())
}
