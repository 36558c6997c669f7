//! How a study is kept, where it ends, and what it begins with.

mod support;

use support::{Family, Result};
use zo_search::{Origin, Study};

#[test]
fn a_study_in_a_database_is_the_study_in_a_journal() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out lines --quiet")?;
    family.replace("study.toml", "seed = 5", "seed = 5\nstore = \"sqlite\"")?;
    family.run("search study.toml --out database --quiet")?;
    assert!(!family.path("database/journal.jsonl").exists());
    let digest = |file: &str| -> Result<String> { Ok(Study::read(family.path(file))?.digest()) };
    assert_eq!(digest("database/journal.sqlite")?, digest("lines/journal.jsonl")?);
    family.run("resume database --quiet")?;
    family.run("report database")?;
    family.run("export database third --trial 3")?;
    let study: serde_json::Value = serde_json::from_str(&family.run("inspect database --json")?)?;
    assert_eq!(study["finished_trials"].as_u64(), Some(12));
    Ok(())
}

#[test]
fn a_search_keeps_its_trials_as_optuna_would_have_them() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out found --optuna found/study.db --quiet")?;
    let kept = std::fs::read(family.path("found/study.db"))?;
    let said = family.run("report found --optuna found/study.db")?;
    assert!(
        said.contains("12 trials of study ") && said.contains("optuna-dashboard sqlite:///found/study.db"),
        "{said}"
    );
    assert_eq!(std::fs::read(family.path("found/study.db"))?, kept, "the search has written all of them");
    family.run("resume found --trials 16 --optuna found/study.db --quiet")?;
    std::fs::remove_file(family.path("found/result.json"))?;
    let said = family.run("report found --optuna other.db")?;
    assert!(said.contains("16 trials of study "), "an unfinished study has trials too: {said}");
    Ok(())
}

#[test]
fn a_search_without_progress_ends() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "trials = 12", "trials = 200\npatience = 8\nhours = 5.0")?;
    let output = family.tailor("search study.toml --out found").output()?;
    let notes = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("the search ends: ") && notes.contains("brought nothing better than trial"), "{notes}");
    let history = Study::read(family.path("found/journal.jsonl"))?;
    let incumbent = history.incumbent().ok_or("nothing was found")?.trial.id.0;
    assert_eq!(history.trials().len() as u64, incumbent + 1 + 8);
    Ok(())
}

#[test]
fn a_search_whose_gains_are_within_their_error_ends() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "trials = 12", "trials = 200\npatience_within_error = 15")?;
    let output = family.tailor("search study.toml --out found").output()?;
    let (said, notes) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("the search ends: 15 trials on all instances made the best one, trial "), "{notes}");
    assert!((16..200).contains(&Study::read(family.path("found/journal.jsonl"))?.trials().len()), "{notes}");
    assert!(said.contains("The search documents cannot tell "), "{said}");
    let retained = &family.json("found/result.json")?["retention"];
    assert!(retained["search_error"].as_f64() > Some(0.0) && retained["confirm_error"].is_f64(), "{retained}");
    // It may go on.
    family.replace("found/study.toml", "patience_within_error = 15\n", "")?;
    family.replace("found/study.toml", "trials = 200", "trials = 60")?;
    family.run("resume found --quiet")?;
    Ok(())
}

#[test]
fn a_study_begins_with_what_another_one_found_out() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out first --quiet")?;
    family.replace("study.toml", "seed = 5", "seed = 6")?;
    let output = family.tailor("search study.toml --out second --warm-start first").output()?;
    let notes = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("12 trials of the other study are known; 0 lie outside"), "{notes}");
    let history = Study::read(family.path("second/journal.jsonl"))?;
    assert_eq!((history.injected().len(), history.trials().len()), (12, 12));

    // What it knows is in its own journal.
    std::fs::remove_dir_all(family.path("first"))?;
    family.run("resume second --quiet")?;
    let complaint = family.fail("search study.toml --out third --warm-start first")?;
    assert!(complaint.contains("first: no study here"), "{complaint}");
    assert!(!family.path("third").exists());
    Ok(())
}

/// Prompts alone say how good a model is, and a search that was cut off asks the same teachers again.
#[test]
fn objectives_without_labels_are_searched_and_resumed() -> Result {
    for objective in ["divergence", "perplexity"] {
        let family = Family::new()?;
        family.replace("study.toml", "trials = 12", &format!("trials = 8\nobjective = \"{objective}\""))?;
        family.run("search study.toml --out whole --quiet")?;
        let whole = Study::read(family.path("whole/journal.jsonl"))?;
        let incumbent =
            whole.incumbent().and_then(|trial| trial.outcome.as_ref()?.objective()).ok_or("no incumbent")?;
        let least = if objective == "divergence" { 0.0 } else { 0.5 };
        assert!(incumbent.is_finite() && incumbent > least, "{objective}: {incumbent}");

        family.run("search study.toml --out cut --quiet")?;
        let journal = std::fs::read_to_string(family.path("cut/journal.jsonl"))?;
        let kept: String = journal.split_inclusive('\n').take(journal.lines().count() / 2).collect();
        family.write("cut/journal.jsonl", &kept)?;
        std::fs::remove_file(family.path("cut/result.json"))?;
        family.run("resume cut --quiet")?;
        assert_eq!(Study::read(family.path("cut/journal.jsonl"))?.digest(), whole.digest(), "{objective}");
        assert!(family.run("report cut")?.contains("report.html"));
    }
    Ok(())
}

/// What the outcomes of a study mean may not change while it goes on, and the message names the key.
#[test]
fn a_study_whose_meaning_has_changed_does_not_go_on() -> Result {
    let changes = [
        ("trials = 12", "trials = 12\nobjective = \"loss\"", "`search.objective`"),
        ("trials = 12", "trials = 12\nrungs = [0.5, 1.0]", "`search.rungs`"),
        ("trials = 12", "trials = 12\nconfirm_share = 0.5", "`search.confirm_share`"),
        ("remove = 2", "remove = 2\nbase_at = \"output\"", "`space.base_at`"),
        ("seed = 5", "seed = 6", "`seed`"),
    ];
    let family = Family::new()?;
    family.run("search study.toml --out found --quiet")?;
    let study = std::fs::read_to_string(family.path("found/study.toml"))?;
    let plain = std::fs::read_to_string(family.path("study.toml"))?;
    for (from, to, key) in changes {
        // The study's folder has every key, so that the changed study is written anew.
        family.write("study.toml", &plain.replace(from, to))?;
        family.run("search study.toml --out other --quiet --trials 1")?;
        std::fs::copy(family.path("other/study.toml"), family.path("found/study.toml"))?;
        let complaint = family.fail("resume found --quiet --trials 12")?;
        assert!(complaint.contains(key) && complaint.contains("found/journal.jsonl"), "{key}: {complaint}");
        std::fs::remove_dir_all(family.path("other"))?;
    }
    family.write("found/study.toml", &study.replace("dtype = \"f32\"", "dtype = \"bf16\""))?;
    let complaint = family.fail("resume found --quiet")?;
    assert!(complaint.contains("`runtime.dtype` was \"f32\" and is \"bf16\" now"), "{complaint}");

    family.write("found/study.toml", &study)?;
    let documents = std::fs::read_to_string(family.path("tasks/words_validation.jsonl"))?;
    let fewer: String = documents.split_inclusive('\n').skip(1).collect();
    family.write("tasks/words_validation.jsonl", &fewer)?;
    let complaint = family.fail("resume found --quiet")?;
    assert!(complaint.contains("the documents of words"), "{complaint}");
    family.write("tasks/words_validation.jsonl", &documents)?;
    family.run("resume found --quiet")?;
    Ok(())
}

#[test]
fn a_finished_study_can_be_given_more_trials() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out found --quiet")?;
    family.run("resume found --quiet --trials 18")?;
    let history = Study::read(family.path("found/journal.jsonl"))?;
    assert_eq!(history.trials().iter().filter(|record| record.outcome.is_some()).count(), 18);
    assert!(std::fs::read_to_string(family.path("found/study.toml"))?.contains("trials = 18"));
    Ok(())
}

#[test]
fn the_test_split_can_be_left_for_a_report() -> Result {
    let family = Family::new()?;
    family.run("search study.toml --out whole --quiet")?;
    let said = family.run("search study.toml --out found --no-test --quiet")?;
    assert!(said.contains("Recipe found/best.yaml.") && !said.contains("test split"), "{said}");
    let is_there = |file: &str| family.path(file).exists();
    assert!(is_there("found/result.json") && !is_there("found/test.json") && !is_there("found/report.html"));
    family.run("report found")?;
    let read = |file: &str| std::fs::read_to_string(family.path(file));
    assert_eq!(read("found/test.json")?, read("whole/test.json")?);
    assert_eq!(read("found/best.yaml")?, read("whole/best.yaml")?);
    assert!(is_there("found/report.html"));
    Ok(())
}

#[test]
fn a_warm_start_from_a_study_of_another_meaning_is_refused() -> Result {
    let family = Family::new()?;
    // Random points merge layers, which read the base.
    family.replace("study.toml", "trials = 12", "trials = 12\nstrategy = \"random\"\nscheduler = \"none\"")?;
    family.run("search study.toml --out first --quiet")?;
    let plain = std::fs::read_to_string(family.path("study.toml"))?;
    for (from, to, key) in [
        ("trials = 12", "trials = 12\nobjective = \"loss\"", "`search.objective`"),
        ("remove = 2", "remove = 2\nbase_at = \"output\"", "`space.base_at`"),
    ] {
        family.write("study.toml", &plain.replace(from, to))?;
        let complaint = family.fail("search study.toml --out second --warm-start first --quiet")?;
        assert!(complaint.contains(key) && complaint.contains("first/journal.jsonl"), "{key}: {complaint}");
        assert!(!family.path("second").exists());
    }
    Ok(())
}

/// Baselines and starting designs leave the layer that makes the attention sink, and the result says so.
#[test]
fn what_is_removed_without_a_trial_keeps_the_layer_that_makes_the_sink() -> Result {
    const MAKER: u64 = 2;
    let removes = |removed: &serde_json::Value| removed.as_array().into_iter().flatten().any(|layer| *layer == MAKER);
    for bridge in ["off", "refit"] {
        let family = Family::with_sink(MAKER as usize)?;
        family.replace("study.toml", "remove = 2", &format!("remove = 2\nbridge = \"{bridge}\""))?;
        family.replace("study.toml", "random_draws = 1", "random_draws = 12")?;
        family.replace("study.toml", "trials = 12", "trials = 70\ndesigns = 20")?;
        let said = family.run("search study.toml --out found --quiet")?;
        assert!(said.contains("Layer 2 of base, code, math makes the attention sink: at position 0 "), "{said}");
        assert!(std::fs::read_to_string(family.path("found/report.html"))?.contains("makes the attention sink"));
        let parents = family.json("found/parents.json")?;
        for model in ["base", "math", "code"] {
            assert_eq!(parents["sinks"][model][0]["layer"], MAKER, "{}", parents["sinks"]);
        }
        let baselines = parents["baselines"].as_array().ok_or("no baselines")?;
        assert_eq!(baselines.len(), 3 * (12 + 4));
        let removing = baselines.iter().find(|scored| removes(&scored["baseline"]["removed"]));
        assert!(removing.is_none(), "{removing:?}");
        let history = Study::read(family.path("found/journal.jsonl"))?;
        let given: Vec<_> = history.trials().iter().filter(|record| record.trial.origin == Origin::Initial).collect();
        assert!(given.len() > 20, "{} starting points", given.len());
        for record in given {
            let removed = record.trial.point.subset("remove")?;
            assert!(!removed.contains(&(MAKER as usize)), "trial {} removes {removed:?}", record.trial.id);
        }
    }
    let family = Family::new()?;
    assert!(!family.run("search study.toml --out found --quiet")?.contains("attention sink"));
    assert!(family.json("found/parents.json")?["sinks"].is_null());
    Ok(())
}
