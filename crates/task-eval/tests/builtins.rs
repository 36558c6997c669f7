//! The tasks that come with the crate: `tests/golden/builtins/make.py` ran lm-evaluation-harness 0.4.13's own files
//! and Python functions on synthetic documents; prompts, hashes and scores must be the same here.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::{Outcome, Replay, compare_entry, compare_samples, golden, read_json, read_samples};
use task_eval::{
    Error, ModelTokenizer, Options, PreparedTask, RunInfo, TaskConfig, TaskLibrary, ValueSource, to_harness_json,
};

/// More than any prompt here needs.
const WINDOW: usize = 8192;

fn options(num_fewshot: Option<usize>) -> Options {
    let data_root = golden("builtins/data");
    Options { num_fewshot, data_root, max_length: Some(WINDOW), bootstrap_iterations: 1000, ..Options::default() }
}

#[test]
fn every_task_asks_and_scores_as_in_the_harness() -> Outcome {
    check("builtins", &options(None))
}

#[test]
fn every_task_shows_its_shots_as_in_the_harness() -> Outcome {
    check("builtins_shots", &options(Some(2)))
}

/// `fewshot_config` with `samples` and `process_docs` that are functions, or null.
#[test]
fn shots_made_by_functions_are_those_of_the_harness() -> Outcome {
    check_tasks("builtins_fewshot", &options(None), &TaskLibrary::load(&[golden("builtins/fewshot")])?)
}

fn check(run: &str, options: &Options) -> Outcome {
    check_tasks(run, options, &TaskLibrary::load(&[])?)
}

fn check_tasks(run: &str, options: &Options, library: &TaskLibrary) -> Outcome {
    let theirs = read_json(&format!("expected/{run}/results.json"))?;
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let names: Vec<&String> = theirs["n-samples"].as_object().ok_or("no n-samples")?.keys().collect();
    let selection = library.select(&names)?;
    let (mut prepared, mut results) = (Vec::new(), Vec::new());
    for task in &selection.tasks {
        let ready = PreparedTask::new(task, &text, options)?;
        let samples = read_samples(run, &task.task)?;
        let result = ready.evaluate(&mut Replay::new(&ready, &samples, &text, WINDOW)?)?;
        compare_samples(run, &ready, &result, &samples)?;
        prepared.push(ready);
        results.push(result);
    }
    let ours = to_harness_json(&selection, &prepared, &results, &RunInfo::default());
    for (task, entry) in theirs["results"].as_object().into_iter().flatten() {
        compare_entry(&format!("{run} {task}"), &ours["results"][task], entry)?;
    }
    for key in ["versions", "n-shot", "n-samples", "task_hashes"] {
        assert_eq!(ours[key], theirs[key], "{run}: {key}");
    }
    Ok(())
}

/// `tests/golden/builtins/tasks.json`: the harness's files, read by the harness.
#[test]
fn every_file_says_what_the_harnesss_says() -> Outcome {
    let (theirs, library) = (read_json("builtins/tasks.json")?, TaskLibrary::load(&[])?);
    let theirs = theirs.as_object().ok_or("no object")?;
    let tasks = theirs.iter().filter(|(_, keys)| keys.get("group").is_none());
    let mut names: Vec<&str> = tasks.clone().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    // Those of the other projects' folders are tried in `paper_tasks.rs`.
    let mut ours = library.task_names();
    ours.retain(|name| {
        let file = library.task(name).map(|tasks| tasks[0].file.clone()).unwrap_or_default();
        !["opencompass", "auto_merge_llm"].iter().any(|folder| file.iter().any(|part| part == *folder))
    });
    assert_eq!(ours, names);
    for (name, keys) in tasks {
        let ours = library.task(name)?;
        assert_eq!(unmarked(&Value::Object(ours[0].raw().clone())), *keys, "{name}");
    }
    Ok(())
}

/// Functions as their paths alone, which is how the harness writes those that it has not looked up.
fn unmarked(value: &Value) -> Value {
    match value {
        Value::Object(map) => match map.get("!function") {
            Some(function) => function.clone(),
            None => Value::Object(map.iter().map(|(key, value)| (key.clone(), unmarked(value))).collect()),
        },
        Value::Array(items) => items.iter().map(unmarked).collect(),
        other => other.clone(),
    }
}

#[test]
fn groups_hold_all_their_subjects() -> Outcome {
    let library = TaskLibrary::load(&[])?;
    let selection = library.select(&["mmlu", "cmmlu", "ceval-valid"])?;
    let sizes: Vec<(&str, usize)> =
        selection.groups.iter().map(|group| (group.name.as_str(), group.leaves.len())).collect();
    let expected = [
        ("mmlu", 57),
        ("mmlu_stem", 19),
        ("mmlu_other", 13),
        ("mmlu_social_sciences", 12),
        ("mmlu_humanities", 13),
        ("cmmlu", 67),
        ("ceval-valid", 52),
    ];
    assert_eq!(sizes, expected);
    assert!(selection.groups.iter().all(|group| group.metrics.iter().all(|metric| metric.weight_by_size)));
    Ok(())
}

/// A task file of the harness's in a folder of the user's, unchanged, with `source` as its Python file.
fn hellaswag_of_a_user(source: Option<&str>) -> Outcome<(tempfile::TempDir, PathBuf)> {
    let root = tempfile::tempdir()?;
    let folder = root.path().join("hellaswag");
    std::fs::create_dir(&folder)?;
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tasks/hellaswag/hellaswag.yaml");
    std::fs::copy(ours, folder.join("hellaswag.yaml"))?;
    if let Some(source) = source {
        std::fs::write(folder.join("utils.py"), source)?;
    }
    let path = root.path().to_owned();
    Ok((root, path))
}

fn only_task(library: &TaskLibrary, name: &str) -> Outcome<TaskConfig> {
    Ok(library.task(name)?.pop().ok_or("no task")?)
}

#[test]
fn an_unchanged_file_of_the_harness_loads_from_a_users_folder() -> Outcome {
    let (_root, path) = hellaswag_of_a_user(None)?;
    let task = only_task(&TaskLibrary::load(std::slice::from_ref(&path))?, "hellaswag")?;
    assert!(task.file.starts_with(path), "{} wins over the crate's own", task.file.display());
    assert_eq!(task.process_docs.map(task_eval::BuiltIn::name), Some("hellaswag.process_docs"));
    Ok(())
}

#[test]
fn another_python_file_beside_it_is_refused_unless_the_built_in_is_named() -> Outcome {
    let (_root, path) = hellaswag_of_a_user(Some("def process_docs(docs):\n    return docs\n"))?;
    let error = TaskLibrary::load(std::slice::from_ref(&path))?.task("hellaswag").unwrap_err();
    assert!(matches!(&error, Error::OtherPythonSource { key, .. } if key == "process_docs"), "{error}");
    assert!(error.to_string().contains("write `process_docs: !native hellaswag.process_docs`"), "{error}");

    let file = path.join("hellaswag/hellaswag.yaml");
    let text = std::fs::read_to_string(&file)?.replace("!function utils.", "!native hellaswag.");
    std::fs::write(&file, text)?;
    assert!(only_task(&TaskLibrary::load(&[path])?, "hellaswag")?.process_docs.is_some());
    Ok(())
}

#[test]
fn a_function_that_is_not_built_in_is_refused_with_key_function_and_file() -> Outcome {
    let root = tempfile::tempdir()?;
    for (line, function) in [
        ("doc_to_text: !function utils.doc_to_text", "utils.doc_to_text"),
        ("doc_to_text: !native hellaswag.doc_to_text", "hellaswag.doc_to_text"),
        ("fewshot_config: {samples: !function utils.list_fewshot_samples}", "utils.list_fewshot_samples"),
        ("fewshot_config: {process_docs: !function utils.process_docs}", "utils.process_docs"),
        // Built in, but for another key.
        ("fewshot_config: {samples: !native hellaswag.process_docs}", "hellaswag.process_docs"),
        ("doc_to_text: !native hellaswag.process_docs", "hellaswag.process_docs"),
    ] {
        let text = format!(
            "task: t\ndataset_path: some/data\noutput_type: multiple_choice\ntest_split: test\n\
             {line}\ndoc_to_target: a\ndoc_to_choice: [a, b]\n"
        );
        let key = line.trim_start_matches("fewshot_config: {").split(':').next().unwrap_or_default();
        let file = root.path().join("t.yaml");
        std::fs::write(&file, text)?;
        let error = TaskLibrary::load(&[root.path().to_owned()])?.task("t").unwrap_err().to_string();
        for part in [&format!("{key}` is"), &format!("`{function}`"), &file.display().to_string()] {
            assert!(error.contains(part.as_str()), "{error} does not name {part}");
        }
    }
    Ok(())
}

#[test]
fn metrics_that_process_results_does_not_say_are_refused() -> Outcome {
    let root = tempfile::tempdir()?;
    for (lines, part) in [
        (
            "metric_list: [{metric: em}]",
            "`metric_list[0].metric: em` is not supported here; supported: acc, f1, mcc, acc_norm, acc_bytes, \
             exact_match, brier_score, acc_mutual_info, as this task's answers are choices; `em` is computed from \
             choices graded by the task's `process_results`",
        ),
        (
            "process_results: !native record.process_results\nmetric_list: [{metric: em}, {metric: acc}]",
            "`metric_list[1].metric: acc` is not supported here; supported: f1, em, as this task's answers are \
             choices graded by the task's `process_results`; `acc` is computed from choices, \
             perplexities of whole prompts, log-likelihoods",
        ),
        (
            "process_results: !native record.process_results\nmetric_list: [{metric: f1, aggregation: f1}]",
            "`metric_list[0].aggregation: f1` is not supported here; supported: mean, median, nanmean, perplexity, \
             as `f1` observes numbers",
        ),
    ] {
        let text = format!(
            "task: t\ndataset_path: some/data\noutput_type: multiple_choice\ntest_split: test\n\
             {lines}\ndoc_to_target: a\ndoc_to_choice: [a, b]\n"
        );
        let file = root.path().join("t.yaml");
        std::fs::write(&file, text)?;
        let error = TaskLibrary::load(&[root.path().to_owned()])?.task("t").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: {part}", file.display())), "{error}");
    }
    Ok(())
}

#[test]
fn a_document_without_the_columns_is_named() -> Outcome {
    let root = tempfile::tempdir()?;
    let folder = root.path().join("Rowan/hellaswag/default");
    std::fs::create_dir_all(&folder)?;
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let task = only_task(&TaskLibrary::load(&[])?, "hellaswag")?;
    let (data_root, hub_cache) = (root.path().to_owned(), Some(root.path().to_owned()));
    let options = Options { data_root, hub_cache, ..Options::default() };

    let error = PreparedTask::new(&task, &text, &options).unwrap_err().to_string();
    assert!(error.contains("`validation` of the data set `Rowan/hellaswag` is not here"), "{error}");

    std::fs::write(folder.join("validation.jsonl"), r#"{"ctx_a": "a", "ctx_b": 7, "activity_label": "b"}"#)?;
    let error = PreparedTask::new(&task, &text, &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "task `hellaswag`, document 0: `hellaswag.process_docs`: the column `ctx_b` should be a text, but is 7"
    );
    Ok(())
}

#[test]
fn a_choice_of_winogrande_is_a_function() -> Outcome {
    let task = only_task(&TaskLibrary::load(&[])?, "winogrande")?;
    let Some(ValueSource::BuiltIn(function)) = task.doc_to_choice else { return Err("no function".into()) };
    assert_eq!(function.name(), "winogrande.doc_to_choice");
    Ok(())
}
