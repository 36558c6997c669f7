//! The studies of `examples/papers`, run on made-up models of the right depth: the hub's cache and the data sets are
//! made here, 22 trials are one cycle of the reference's brackets, 9, 8 and 5 of which are told at the three rungs.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Family, Result};
use task_eval::{DataSource, TaskConfig};
use zo_search::Study;

/// Trials told at 111, 333 and 1000 documents in one cycle of Hyperband.
const TOLD: [usize; 3] = [9, 8, 5];

/// A folder with the hub's cache of a study's models and `data`, and the study for the CPU.
struct StandIns {
    family: Family,
    name: &'static str,
}

impl StandIns {
    fn new(name: &'static str, layers: usize) -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/papers").join(format!("{name}.toml"));
        let (text, models) = (std::fs::read_to_string(&file)?, recipe_search::Models::read(&file)?);
        let folders: Vec<String> =
            models.variants.values().map(|id| id.rsplit('/').next().unwrap_or(id).into()).collect();
        let family = Family::of_depth(layers, &folders.iter().map(String::as_str).collect::<Vec<_>>())?;
        let ids = std::iter::once(&models.base).chain(models.variants.values());
        for (id, folder) in ids.zip(std::iter::once("base").chain(folders.iter().map(String::as_str))) {
            let config = family.path(&format!("models/{folder}/config.json"));
            let wide = std::fs::read_to_string(&config)?.replace(": 64,", ": 4096,");
            std::fs::write(config, wide)?;
            let tokenizer = family.path(&format!("models/{folder}/tokenizer.json"));
            let words = (3..support::WORDS).fold(std::fs::read_to_string(&tokenizer)?, |text, word| {
                text.replace(&format!("\"w{word}\":"), &format!("\"{}\":", comment(word)))
            });
            std::fs::write(tokenizer, words)?;
            cache(&family, id, folder)?;
        }
        write_data(&family)?;
        family.write("study.toml", &text.replace("device = \"cuda\"", "device = \"cpu\""))?;
        Ok(Self { family, name })
    }

    fn tailor(&self, arguments: &str) -> Command {
        let mut command = self.family.tailor(arguments);
        command.env("HF_HUB_CACHE", self.family.path("cache")).env("HF_HUB_OFFLINE", "1");
        command
    }

    /// One cycle of brackets, and how many trials were told at each rung.
    fn told(&self) -> Result<Vec<usize>> {
        let output = self.tailor("search study.toml --trials 22 --out found --quiet").output()?;
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let study = Study::read(self.family.path("found/journal.jsonl"))?;
        let mut told = vec![0; TOLD.len()];
        for record in study.trials() {
            assert!(
                record.outcome.as_ref().is_some_and(|outcome| outcome.result().is_some()),
                "{}: {record:?}",
                self.name
            );
            told[record.trial.rung.map_or(0, |rung| rung.0)] += 1;
        }
        Ok(told)
    }
}

/// A word without a number that is a program which does nothing, so that some answers are right. Every other one ends
/// an answer, so that these are short.
fn comment(word: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + digit as u8);
    let end = if word.is_multiple_of(2) { "Q:[DONE]" } else { "" };
    format!("#{}{}{end}", letter(word / 10), letter(word % 10))
}

/// Moves a model to where the hub's tools keep it.
fn cache(family: &Family, id: &str, folder: &str) -> Result {
    let repository = family.path("cache").join(format!("models--{}", id.replace('/', "--")));
    std::fs::create_dir_all(repository.join("refs"))?;
    std::fs::create_dir_all(repository.join("snapshots"))?;
    std::fs::write(repository.join("refs/main"), "made-up")?;
    Ok(std::fs::rename(family.path("models").join(folder), repository.join("snapshots/made-up"))?)
}

/// A few documents of every split of the studies' tasks, in the columns of the hub's data sets.
fn write_data(family: &Family) -> Result {
    let write = |path: &str, rows: &[Value]| -> Result {
        let file = family.path("data").join(path);
        std::fs::create_dir_all(file.parent().ok_or("no folder")?)?;
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        Ok(std::fs::write(file, lines)?)
    };
    let letters: Vec<usize> = (0..4).collect();
    for subject in mmlu_subjects()? {
        for split in ["dev", "validation", "test"] {
            let row = |answer: &usize| {
                json!({"question": format!("w{} of {subject}?", 3 + answer), "subject": subject,
                    "choices": ["w5", "w6", "w7", "w8"], "answer": answer})
            };
            write(&format!("cais/mmlu/{subject}/{split}.jsonl"), &letters.iter().map(row).collect::<Vec<_>>())?;
        }
    }
    for split in ["train", "validation"] {
        let row = |label: usize| {
            json!({"text": "w3 saw w4 when it left", "span1_index": 0, "span1_text": "w3", "span2_index": 4,
                "span2_text": "it", "label": label, "idx": label})
        };
        write(&format!("aps/super_glue/wsc.fixed/{split}.jsonl"), &[row(0), row(1), row(1)])?;
    }
    // What a made-up model writes has no number in it, which is an answer of `[invalid]`.
    let sums = [("w3 and w4?", "it is 7\n#### 7"), ("w5?", "it has none\n#### [invalid]")];
    let sums = sums.map(|(question, answer)| json!({"question": question, "answer": answer, "solution": answer}));
    write("qintongli/GSM-Plus/testmini.jsonl", &sums)?;
    for split in ["train", "validation", "test", "prompt"] {
        let row = json!({"task_id": 1, "text": "Write nothing.", "code": "pass", "test_list": ["pass", "pass", "pass"],
            "test_setup_code": "", "challenge_test_list": []});
        write(&format!("google-research-datasets/mbpp/full/{split}.jsonl"), &[row])?;
    }
    Ok(())
}

/// The subjects of the bundled group `mmlu`.
fn mmlu_subjects() -> Result<Vec<String>> {
    let selection = task_eval::TaskLibrary::load(&[])?.select(&["mmlu"])?;
    let name = |task: &TaskConfig| match &task.data {
        DataSource::Folder { name, .. } => name.clone(),
        _ => None,
    };
    Ok(selection.tasks.iter().filter_map(name).collect())
}

fn one_cycle(name: &'static str, layers: usize) -> Result {
    assert_eq!(StandIns::new(name, layers)?.told()?, TOLD, "{name}");
    Ok(())
}

/// As in the reference: MMLU with its 57 subjects and WSC are two objectives, and two columns of the table.
#[test]
fn gptailor_13b() -> Result {
    let stand_ins = StandIns::new("gptailor-13b", 40)?;
    assert_eq!(stand_ins.told()?, TOLD);
    let study = Study::read(stand_ins.family.path("found/journal.jsonl"))?;
    let objectives = study.trials().iter().filter_map(|record| record.outcome.as_ref());
    assert!(objectives.into_iter().all(|outcome| outcome.objectives.len() == 2));
    let test = stand_ins.family.json("found/test.json")?;
    let columns = test["tailored"].as_array().ok_or("no scores")?.iter().map(|score| &score["task"]);
    assert_eq!(columns.collect::<Vec<_>>(), ["mmlu", "wsc_custom"]);
    assert_eq!(test["tailored"][0]["subjects"].as_array().map(Vec::len), Some(57));
    Ok(())
}

#[test]
fn gptailor_7b() -> Result {
    one_cycle("gptailor-7b", 32)
}

#[test]
fn gptailor_llama3_8b() -> Result {
    one_cycle("gptailor-llama3-8b", 32)
}

#[test]
fn lfs_13b() -> Result {
    one_cycle("lfs-13b", 40)
}

#[test]
fn lfs_13b_multi() -> Result {
    one_cycle("lfs-13b-multi", 40)
}

#[test]
fn dis_13b() -> Result {
    one_cycle("dis-13b", 40)
}

/// The journal's trials as SMAC would have kept them.
fn run_history(stand_ins: &StandIns) -> Result<(Value, usize)> {
    let study = Study::read(stand_ins.family.path("found/journal.jsonl"))?;
    let (mut data, mut configs) = (Vec::new(), serde_json::Map::new());
    for record in study.trials() {
        let id = record.trial.id.0;
        let outcome = record.outcome.as_ref().ok_or("no outcome")?;
        let scores = outcome.extra["tasks"].as_object().ok_or("no scores")?;
        let costs: Vec<f64> = scores.values().filter_map(Value::as_f64).map(|score| 1.0 - score).collect();
        let budget = 1000.0 * outcome.fidelity.unwrap_or(record.trial.fidelity).fraction();
        data.push(json!([id, null, 0, budget, costs, 1.0, 1, 0.0, 1.0, {}]));
        let plain = |value: &Value| value.as_object().and_then(|of| of.values().next().cloned());
        let point = serde_json::to_value(&record.trial.point)?;
        let values = point.as_object().ok_or("no point")?.iter();
        let values: serde_json::Map<_, _> =
            values.filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect();
        configs.insert(id.to_string(), values.into());
    }
    Ok((json!({"stats": {}, "data": data, "configs": configs, "config_origins": {}}), study.trials().len()))
}

#[test]
fn a_run_history_is_begun_with_in_both_parameterisations() -> Result {
    let stand_ins = StandIns::new("lfs-13b", 40)?;
    stand_ins.told()?;
    let (history, trials) = run_history(&stand_ins)?;
    stand_ins.family.write("runhistory.json", &history.to_string())?;
    let first = Study::read(stand_ins.family.path("found/journal.jsonl"))?;
    for (parameterisation, out) in [("reference", "again"), ("own", "own")] {
        let text = std::fs::read_to_string(stand_ins.family.path("study.toml"))?;
        let changed =
            text.replace("parameterisation = \"reference\"", &format!("parameterisation = \"{parameterisation}\""));
        stand_ins.family.write("changed.toml", &changed)?;
        let arguments = format!("search changed.toml --warm-start runhistory.json --trials 22 --out {out}");
        let output = stand_ins.tailor(&arguments).output()?;
        let notes = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{notes}");
        // What they were worth there they are worth here. Not every recipe of the reference has a point of ours.
        let known = Study::read(stand_ins.family.path(&format!("{out}/journal.jsonl")))?;
        let least = if parameterisation == "reference" { trials } else { 10 };
        assert!(known.injected().len() >= least && notes.contains(" trials of the other study are known"), "{notes}");
        for known in known.injected() {
            let there = first.trials().iter().find(|record| record.trial.id == known.id);
            let there = there.and_then(|record| record.outcome.as_ref()?.objective()).ok_or("no such trial")?;
            let here = known.outcome.objective().ok_or("no objective")?;
            assert!((here - there).abs() < 1e-6, "trial {}: {there} there, {here} here", known.id);
        }
    }
    stand_ins.family.write("runhistory.json", "{}")?;
    let output = stand_ins.tailor("search study.toml --warm-start runhistory.json --out no").output()?;
    assert!(String::from_utf8(output.stderr)?.contains("runhistory.json: missing field `data`"));
    Ok(())
}
