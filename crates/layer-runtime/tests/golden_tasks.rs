//! `task-eval/tests/golden`: whole runs of lm-evaluation-harness 0.4.13, from the task files to the scores, on our
//! decoder.

mod support;

use std::path::{Path, PathBuf};

use layer_runtime::RuntimeOptions;
use serde_json::Value;
use support::{Outcome, plain_model};
use task_eval::{ModelTokenizer, Options, PreparedTask, Response, TaskLibrary, TaskResult};

const ALLOWED: f64 = 1e-3;

fn tasks(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../task-eval/tests/golden").join(path)
}

#[test]
fn the_harnesss_run_with_bos_comes_out() -> Outcome {
    check("bos", "bos", &Options::default())
}

#[test]
fn the_harnesss_run_without_bos_comes_out() -> Outcome {
    check("nobos", "nobos", &Options::default())
}

#[test]
fn the_harnesss_log_likelihood_runs_come_out() -> Outcome {
    for run in ["ll", "ll_empty", "ll_nocache", "binary"] {
        check(run, "bos", &Options::default())?;
    }
    Ok(())
}

#[test]
fn the_harnesss_run_with_a_short_window_comes_out() -> Outcome {
    check("maxlen", "bos", &Options { max_length: Some(50), ..Options::default() })
}

fn check(run: &str, model: &str, options: &Options) -> Outcome {
    let folder = tasks(&format!("expected/{run}"));
    let theirs: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("results.json"))?)?;
    let text = ModelTokenizer::load(tasks(&format!("models/{model}")))?;
    let library = TaskLibrary::load(&[tasks("tasks")])?;
    let mut model = plain_model(&tasks(&format!("models/{model}")), RuntimeOptions::default())?;
    let (mut worst, mut documents) = (0.0_f64, 0);
    for name in theirs["n-samples"].as_object().ok_or("no n-samples")?.keys() {
        for task in library.task(name)? {
            let prepared = PreparedTask::new(&task, &text, options)?;
            let result = prepared.evaluate(&mut model)?;
            let difference = responses(&folder, &prepared, &result)?;
            assert!(difference <= ALLOWED, "{run} {name}: log-likelihoods differ by up to {difference:e}");
            metrics(run, &result, &theirs["results"][name])?;
            worst = worst.max(difference);
            documents += result.documents.len();
        }
    }
    println!("{run}: {documents} documents, log-likelihoods differ by up to {worst:.1e}");
    Ok(())
}

/// The largest difference of a log-likelihood; texts and greedy flags must be equal.
fn responses(folder: &Path, task: &PreparedTask, result: &TaskResult) -> Outcome<f64> {
    let file = folder.join(format!("samples_{}.jsonl", task.name()));
    let theirs = std::fs::read_to_string(file)?;
    let mut worst = 0.0_f64;
    for (ours, theirs) in task.samples(result)?.iter().zip(theirs.lines()) {
        let theirs: Value = serde_json::from_str(theirs)?;
        let place = format!("{}, document {}", task.name(), theirs["doc_id"]);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        leaves(&ours["resps"], &mut found);
        leaves(&theirs["resps"], &mut expected);
        assert_eq!(found.len(), expected.len(), "{place}");
        for (found, expected) in found.iter().zip(expected) {
            match (found.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(found), Ok(expected)) => worst = worst.max((found - expected).abs()),
                _ => assert_eq!(*found, expected, "{place}"),
            }
        }
    }
    Ok(worst)
}

/// The texts in nested lists.
fn leaves<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        other => found.extend(other.as_str()),
    }
}

fn metrics(run: &str, result: &TaskResult, theirs: &Value) -> Outcome {
    for (name, metric) in &result.metrics {
        let expected = theirs[name].as_f64().ok_or_else(|| format!("{run} {}: no {name}", result.task))?;
        // Accuracies are counts; the rest follows the log-likelihoods.
        let allowed =
            if name.starts_with("acc") || name.starts_with("exact") { 1e-9 } else { ALLOWED * expected.abs() };
        let difference = (metric.value - expected).abs();
        assert!(difference <= allowed, "{run} {} {name}: {} instead of {expected}", result.task, metric.value);
    }
    Ok(())
}

/// `task-eval/tests/golden/whole_prompt/expected.json`: OpenCompass's rule by torch, on the same models.
#[test]
fn whole_prompts_are_scored_and_chosen_as_by_torch() -> Outcome {
    let expected = std::fs::read_to_string(tasks("whole_prompt/expected.json"))?;
    let expected: Value = serde_json::from_str(&expected)?;
    let library = TaskLibrary::load(&[tasks("whole_prompt")])?;
    for (run, expected) in expected.as_object().ok_or("no object")? {
        let folder = tasks(&format!("models/{}", expected["model"].as_str().ok_or("no model")?));
        let text = ModelTokenizer::load(&folder)?;
        let max_length = expected["window"].as_u64().map(|window| window as usize);
        let options = Options { max_length, ..Options::default() };
        let mut model = plain_model(&folder, RuntimeOptions::default())?;
        for (name, rows) in expected["tasks"].as_object().ok_or("no tasks")? {
            let task = library.task(name)?.pop().ok_or("no task")?;
            let result = PreparedTask::new(&task, &text, &options)?.evaluate(&mut model)?;
            let rows = rows.as_array().ok_or("no rows")?;
            assert_eq!(result.documents.len(), rows.len(), "{run} {name}");
            let mut right = 0;
            for (document, row) in result.documents.iter().zip(rows) {
                let place = format!("{run} {name}, document {}", document.index);
                let sums: Vec<f64> = serde_json::from_value(row["log_likelihoods"].clone())?;
                assert_eq!(document.responses.len(), sums.len(), "{place}");
                for (response, sum) in document.responses.iter().zip(sums) {
                    let Response::Score { log_likelihood, .. } = response else { return Err(place.into()) };
                    assert!((log_likelihood - sum).abs() <= ALLOWED, "{place}: {log_likelihood} instead of {sum}");
                }
                let hit = row["choice"] == row["gold"];
                assert_eq!(document.metric("acc"), Some(f64::from(u8::from(hit))), "{place}");
                right += usize::from(hit);
            }
            let acc = result.metric("acc").ok_or("no acc")?.value;
            assert!((acc - right as f64 / rows.len() as f64).abs() < 1e-12, "{run} {name}: {acc}");
        }
    }
    Ok(())
}
