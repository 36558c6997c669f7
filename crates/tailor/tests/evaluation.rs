//! What is scored: groups as one task, chosen documents, other windows.

mod support;

use serde_json::{Value, json};
use support::{Family, Result};
use zo_search::Study;

/// A family with a second task `few` of five documents, and a group `both` of the two.
fn with_group() -> Result<Family> {
    let family = Family::new()?;
    let mut task = family.json("tasks/words.yaml")?;
    task["task"] = json!("few");
    for split in ["validation", "test"] {
        let words = std::fs::read_to_string(family.path(&format!("tasks/words_{split}.jsonl")))?;
        let few: String = words.split_inclusive('\n').skip(11).take(5).collect();
        family.write(&format!("tasks/few_{split}.jsonl"), &few)?;
        task["dataset_kwargs"]["data_files"][split] =
            json!(family.path(&format!("tasks/few_{split}.jsonl")).display().to_string());
    }
    family.write("tasks/few.yaml", &task.to_string())?;
    let group = json!({"group": "both", "task": ["words", "few"], "aggregate_metric_list": [{"metric": "acc"}]});
    family.write("tasks/both.yaml", &group.to_string())?;
    family.replace("study.toml", "name = \"words\"", "name = \"both\"")?;
    Ok(family)
}

/// The score of a group in the results of `tailor eval`.
fn evaluated(family: &Family, options: &str, group: &str) -> Result<f64> {
    family.run(&format!("eval models/base --include tasks --output scores.json {options}"))?;
    let results = family.json("scores.json")?;
    let score = ["groups", "results"].into_iter().find_map(|kind| results[kind][group]["acc,none"].as_f64());
    Ok(score.ok_or("no score")?)
}

#[test]
fn a_group_is_one_task_that_is_weighted_by_size() -> Result {
    let family = with_group()?;
    family.replace("study.toml", "trials = 12", "trials = 12\nrungs = [4, 30]\nobjectives = [\"tasks\"]")?;
    family.run("search study.toml --out found --quiet")?;

    let test = family.json("found/test.json")?;
    let base = test["models"][0]["scores"].as_array().ok_or("no scores")?;
    assert_eq!((base.len(), &base[0]["task"]), (1, &json!("both")));
    let documents: Vec<&Value> = base[0]["subjects"].as_array().ok_or("no subjects")?.iter().collect();
    assert_eq!(documents.iter().map(|subject| subject["documents"].as_u64()).collect::<Vec<_>>(), [Some(48), Some(5)]);
    let group = evaluated(&family, "--tasks both", "both")?;
    let own = base[0]["score"].as_f64().ok_or("no score")?;
    assert!((own - group).abs() < 1e-12, "{own} is not the harness's {group}");

    let history = Study::read(family.path("found/journal.jsonl"))?;
    let objectives = |record: &zo_search::Record| record.outcome.as_ref().map(|outcome| outcome.objectives.len());
    assert!(history.trials().iter().filter_map(objectives).all(|count| count == 1), "the group alone");
    assert!(history.incumbent().and_then(|record| record.outcome.as_ref()?.lead).is_some(), "and the retention");
    let report = family.run("report found --subjects")?;
    assert!(report.contains("| few ") && !family.run("report found")?.contains("| few "), "{report}");
    Ok(())
}

#[test]
fn the_test_is_as_large_as_the_study_says() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "name = \"words\"", "name = \"words\"\ntest_limit = 10")?;
    family.replace("study.toml", "test = \"all\"\n", "")?;
    family.run("search study.toml --out found --quiet")?;
    let parents = family.json("found/parents.json")?;
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let (made, before) = (count(&parents["baselines"]), family.json("found/test.json")?);
    assert_eq!(before["tailored"][0]["documents"].as_array().map(Vec::len), Some(10));
    assert_eq!((made, count(&before["baselines"])), (15, 5), "the best of each method");

    // What was scored on other documents, or on fewer models, is scored again, and no baseline is made again.
    family.replace("found/study.toml", "test_limit = 10", "test_limit = 20")?;
    family.replace("found/study.toml", "test = \"best\"", "test = \"all\"")?;
    family.run("report found")?;
    let after = family.json("found/test.json")?;
    assert_eq!(after["tailored"][0]["documents"].as_array().map(Vec::len), Some(20));
    assert_eq!((count(&after["baselines"]), family.json("found/parents.json")?), (15, parents));
    Ok(())
}

#[test]
fn chosen_documents_of_any_split_are_evaluated() -> Result {
    let family = Family::new()?;
    let lines = |options: &str| -> Result<Vec<Value>> {
        family.run(&format!("eval models/base --include tasks --tasks words --log-samples lines.jsonl {options}"))?;
        let text = std::fs::read_to_string(family.path("lines.jsonl"))?;
        Ok(text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
    };
    family.write("samples.json", r#"{"words": [7, 0, 7]}"#)?;
    let (all, chosen) = (lines("")?, lines("--samples samples.json")?);
    assert_eq!(chosen.iter().map(|line| &line["doc_id"]).collect::<Vec<_>>(), [&json!(0), &json!(7)]);
    assert!(chosen.iter().all(|line| all.contains(line)), "the same prompts and answers");
    let validation = lines("--split validation")?;
    assert_ne!(validation[0]["doc"], all[0]["doc"]);

    for (samples, part) in [
        (r#"{"words":[48]}"#, "has no document 48: the split has 48"),
        (r#"{"other":[0]}"#, "of `other`"),
        ("nothing.json", "nothing.json"),
        (r#"{"words":[]}"#, "leaves no document"),
    ] {
        let complaint = family.fail(&format!("eval models/base --include tasks --tasks words --samples {samples}"))?;
        assert!(complaint.contains(part), "{complaint}");
    }
    Ok(())
}

#[test]
fn a_study_cuts_prompts_as_an_evaluation_does() -> Result {
    let family = Family::new()?;
    family.replace("study.toml", "[search]", "[evaluation]\nmax_length = 2\nbos = false\n\n[search]")?;
    family.run("search study.toml --out found --quiet")?;
    let study = family.json("found/test.json")?["models"][0]["scores"][0]["score"].as_f64().ok_or("no score")?;
    assert_eq!(study, evaluated(&family, "--tasks words --max-length 2 --bos false", "words")?);
    assert_ne!(study, evaluated(&family, "--tasks words", "words")?, "longer prompts say more");
    // Another window is another meaning.
    family.replace("found/study.toml", "max_length = 2", "max_length = 3")?;
    assert!(family.fail("resume found --trials 14")?.contains("`evaluation`"));
    Ok(())
}
