//! `tests/golden/expected`: runs of lm-evaluation-harness 0.4.13. The prompts, the hashes and the scores that follow from
//! its model's answers must be the same here.

mod support;

use serde_json::Value;
use support::{Outcome, Replay, compare_entry, compare_samples, golden, read_json, read_samples};
use task_eval::{Limit, Options, PreparedTask, RunInfo, TaskLibrary, TokenText, to_harness_json};

/// A run of the harness: its folder, its model and what was not as usual.
struct Run {
    name: &'static str,
    model: &'static str,
    options: Options,
}

fn run(name: &'static str, model: &'static str) -> Run {
    Run { name, model, options: Options::default() }
}

#[test]
fn a_tokenizer_that_adds_bos_gives_the_harnesss_results() -> Outcome {
    check(&run("bos", "bos"))
}

#[test]
fn a_tokenizer_whose_bos_is_its_eos_gives_the_harnesss_results() -> Outcome {
    check(&run("nobos", "nobos"))
}

#[test]
fn log_likelihood_tasks_give_the_harnesss_results() -> Outcome {
    for name in ["ll", "ll_empty", "ll_nocache"] {
        check(&run(name, "bos"))?;
    }
    Ok(())
}

#[test]
fn corpus_metrics_give_the_harnesss_results() -> Outcome {
    check(&run("binary", "bos"))
}

#[test]
fn a_limit_takes_the_first_documents_of_each_task() -> Outcome {
    let options = Options { limit: Some(Limit::Count(7)), ..Options::default() };
    check(&Run { options, ..run("lim_int", "bos") })
}

#[test]
fn a_short_window_changes_no_prompt() -> Outcome {
    let options = Options { max_length: Some(50), ..Options::default() };
    check(&Run { options, ..run("maxlen", "bos") })
}

/// Every sample and every result of the run.
fn check(run: &Run) -> Outcome {
    let theirs = read_json(&format!("expected/{}/results.json", run.name))?;
    let text = TokenText::load(golden(&format!("models/{}", run.model)))?;
    let library = TaskLibrary::load(&[golden("tasks")])?;
    let groups = theirs.get("groups").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = groups.filter(|name| *name == "g_group_w").collect();
    let grouped: Vec<String> = library.select(&names)?.tasks.into_iter().map(|task| task.task).collect();
    let tasks = theirs["n-samples"].as_object().ok_or("no n-samples")?;
    names.extend(tasks.keys().map(String::as_str).filter(|name| !grouped.iter().any(|other| other == name)));
    let selection = library.select(&names)?;
    assert_eq!(selection.tasks.len(), tasks.len(), "{}", run.name);
    let (mut prepared, mut results) = (Vec::new(), Vec::new());
    for task in &selection.tasks {
        let ready = PreparedTask::new(task, &text, &run.options)?;
        let samples = read_samples(run.name, &task.task)?;
        let mut model = Replay::new(&ready, &samples, &text, text.max_length())?;
        let result = ready.evaluate(&mut model)?;
        compare_samples(run.name, &ready, &result, &samples)?;
        prepared.push(ready);
        results.push(result);
    }
    let ours = to_harness_json(&selection, &prepared, &results, &RunInfo::default());
    for key in ["results", "groups"] {
        for (task, entry) in theirs.get(key).and_then(Value::as_object).into_iter().flatten() {
            compare_entry(&format!("{} {key} {task}", run.name), &ours[key][task], entry)?;
        }
    }
    for key in ["versions", "n-shot", "n-samples", "task_hashes", "group_subtasks"] {
        assert_eq!(ours[key], theirs[key], "{}: {key}", run.name);
    }
    compare_directions(&ours["higher_is_better"], &theirs["higher_is_better"]);
    Ok(())
}

/// Of a group, the harness also lists metrics that the group does not sum up.
fn compare_directions(ours: &Value, theirs: &Value) {
    for (task, metrics) in theirs.as_object().into_iter().flatten() {
        for (metric, direction) in metrics.as_object().into_iter().flatten() {
            if let Some(found) = ours[task].get(metric) {
                assert_eq!(found, direction, "{task}: {metric}");
            }
        }
    }
}
