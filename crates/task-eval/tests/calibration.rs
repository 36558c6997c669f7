//! Calibration texts from golden tasks and from files: what is in them, and that no label is.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use task_eval::{
    Calibration, CalibrationOptions, Limit, ModelTokenizer, ObjectiveError, Options, PreparedTask, TaskLibrary,
    negative_log_likelihoods,
};

#[path = "support/bigram.rs"]
mod bigram;

use bigram::Bigram;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn prepared(root: &Path, task: &str, text: &ModelTokenizer, options: &Options) -> Outcome<PreparedTask> {
    let config = TaskLibrary::load(&[root.join("tasks")])?.task(task)?.pop().ok_or("no task")?;
    Ok(PreparedTask::new(&config, text, options)?)
}

fn prompts(task: &PreparedTask, text: &ModelTokenizer) -> Result<Calibration, ObjectiveError> {
    let all: Vec<usize> = (0..task.len()).collect();
    Calibration::from_prompts(task, &all, text, &CalibrationOptions::default())
}

/// The golden tasks in a folder of their own, where `change` has gone over the documents of one data file.
fn changed(file: &str, change: impl Fn(&mut Map<String, Value>)) -> Outcome<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    for folder in ["tasks", "data"] {
        std::fs::create_dir(root.path().join(folder))?;
        for entry in std::fs::read_dir(golden(folder))? {
            let entry = entry?;
            std::fs::copy(entry.path(), root.path().join(folder).join(entry.file_name()))?;
        }
    }
    let path = root.path().join("data").join(file);
    let mut lines = String::new();
    for line in std::fs::read_to_string(&path)?.lines() {
        let mut document = serde_json::from_str(line)?;
        change(&mut document);
        lines += &format!("{}\n", Value::Object(document));
    }
    std::fs::write(path, lines)?;
    Ok(root)
}

type Change = fn(&mut Map<String, Value>);

/// The last word, which is the answer, becomes a much longer one.
fn other_last_word(document: &mut Map<String, Value>) {
    let text = document.get("text").and_then(Value::as_str).unwrap_or_default();
    let question = text.rsplit_once(' ').map_or("", |(question, _)| question);
    document.insert("text".into(), format!("{question} river-river-river-river-river").into());
}

fn other_answer(document: &mut Map<String, Value>) {
    let other = if document["answer"] == "1" { "2" } else { "1" };
    document.insert("answer".into(), other.into());
}

fn other_label(document: &mut Map<String, Value>) {
    let label = document["label"].as_u64().unwrap_or_default();
    document.insert("label".into(), ((label + 1) % 4).into());
}

#[test]
fn prompts_are_the_same_whatever_the_labels_are() -> Outcome {
    let cases: [(&str, &str, Change); 5] = [
        ("g_mc_basic", "mc_test.jsonl", other_label),
        ("g_fs_train_default", "mc_test.jsonl", other_label),
        ("g_wino", "wg_val.jsonl", other_answer),
        ("g_ll", "ll_test.jsonl", other_last_word),
        ("g_gen", "gen_test.jsonl", other_answer),
    ];
    for model in ["bos", "nobos"] {
        let text = ModelTokenizer::load(golden("models").join(model))?;
        for (task, file, change) in cases {
            let root = changed(file, change)?;
            // The small window cuts prompts.
            for max_length in [96, 40] {
                let options = Options { max_length: Some(max_length), ..Options::default() };
                let task = |root: &Path| prepared(root, task, &text, &options);
                let (before, after) = (task(&golden(""))?, task(root.path())?);
                // A generation's answer is in no request.
                let told = before.name() == "g_gen" || before.gold_tokens(0) != after.gold_tokens(0);
                assert!(told, "{}: the label is the same, so this test says nothing", before.name());
                assert_eq!(prompts(&before, &text)?, prompts(&after, &text)?, "{}, {model}", before.name());
            }
        }
    }
    Ok(())
}

#[test]
fn a_prompt_is_what_the_model_is_asked() -> Outcome {
    let text = ModelTokenizer::load(golden("models/bos"))?;
    for name in ["g_mc_basic", "g_ll", "g_multi_target"] {
        let task = prepared(&golden(""), name, &text, &Options::default())?;
        let prompts = prompts(&task, &text)?;
        assert_eq!(prompts.len(), task.len(), "{name}");
        for (document, prompt) in prompts.texts().iter().enumerate() {
            assert_eq!(*prompt, task.score_requests(document)[0].context, "{name}, document {document}");
        }
    }
    Ok(())
}

#[test]
fn of_prompts_that_differ_by_choice_the_common_beginning_is_taken() -> Outcome {
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let options = Options { num_fewshot: Some(0), ..Options::default() };
    let task = prepared(&golden(""), "g_wino", &text, &options)?;
    let first = text.decode(&prompts(&task, &text)?.texts()[0])?;
    assert_eq!(first.trim_end(), "one eats a two", "neither `was` nor `large was`");
    Ok(())
}

#[test]
fn a_prompt_of_which_nothing_is_common_is_the_prefix_token() -> Outcome {
    let root = changed("wg_val.jsonl", |document| {
        for (key, value) in [("sentence", "_ was red."), ("option1", "bird"), ("option2", "猫")] {
            document.insert(key.into(), value.into());
        }
    })?;
    let options = Options { num_fewshot: Some(0), ..Options::default() };
    for model in ["bos", "nobos"] {
        let text = ModelTokenizer::load(golden("models").join(model))?;
        let task = prepared(root.path(), "g_wino", &text, &options)?;
        assert_eq!(*prompts(&task, &text)?.texts()[0], [text.prefix_token()], "{model}");
    }
    Ok(())
}

#[test]
fn a_prompt_longer_than_the_window_keeps_its_end() -> Outcome {
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let task = prepared(&golden(""), "g_mc_basic", &text, &Options::default())?;
    let options = CalibrationOptions { window: Some(8), ..CalibrationOptions::default() };
    let (whole, cut) = (prompts(&task, &text)?, Calibration::from_prompts(&task, &[0], &text, &options)?);
    assert!(whole.texts()[0].len() > 8 && whole.texts()[0].ends_with(&cut.texts()[0]) && cut.texts()[0].len() == 8);
    Ok(())
}

#[test]
fn documents_are_taken_in_the_order_asked_for() -> Outcome {
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let task = prepared(&golden(""), "g_mc_basic", &text, &Options::default())?;
    let all = prompts(&task, &text)?;
    let options = CalibrationOptions { max_texts: Some(2), ..CalibrationOptions::default() };
    let some = Calibration::from_prompts(&task, &[3, 1, 0], &text, &options)?;
    assert_eq!(some.texts(), [all.texts()[3].clone(), all.texts()[1].clone()]);
    let error = Calibration::from_prompts(&task, &[1000], &text, &options).err().ok_or("no complaint")?;
    assert!(error.to_string().contains("so there is no document 1000"), "{error}");
    Ok(())
}

/// Where the tokenizer adds no begin token of its own, so that both begin alike.
#[test]
fn the_likelihood_of_a_rolling_tasks_texts_is_the_tasks() -> Outcome {
    let text = ModelTokenizer::load(golden("models/nobos"))?;
    let options = Options { limit: Some(Limit::Count(4)), ..Options::default() };
    let task = prepared(&golden(""), "g_roll", &text, &options)?;
    let mut model = Bigram::random(400, 5);
    let all = prompts(&task, &text)?;
    let each = negative_log_likelihoods(&mut model, &all)?;
    let ours: f64 = each.iter().zip(all.texts()).map(|(value, tokens)| value * (tokens.len() - 1) as f64).sum();
    let mut theirs = 0.0;
    for (document, result) in task.evaluate(&mut model)?.documents.iter().enumerate() {
        let tokens: usize = task.score_requests(document).iter().map(|request| request.continuation.len()).sum();
        theirs += result.loss.ok_or("no loss")? * tokens as f64;
    }
    assert!(ours > 0.0 && (ours - theirs).abs() < 1e-9 * theirs, "{ours} instead of {theirs}");
    Ok(())
}

#[test]
fn a_document_begins_with_one_begin_token() -> Outcome {
    for model in ["bos", "nobos"] {
        let text = ModelTokenizer::load(golden("models").join(model))?;
        let calibration = Calibration::from_documents(["the cat"], &text, &CalibrationOptions::default())?;
        let begins = calibration.texts()[0].iter().filter(|&&token| token == text.prefix_token()).count();
        assert_eq!(begins, 1, "{model}");
        assert_eq!(calibration.texts()[0][1..], text.encode_plain("the cat")?, "{model}");
    }
    Ok(())
}

#[test]
fn limits_let_whole_texts_in() -> Outcome {
    let text = ModelTokenizer::load(golden("models/bos"))?;
    let documents = ["the cat", "one two three four", "a"];
    let all = Calibration::from_documents(documents, &text, &CalibrationOptions::default())?;
    let lengths: Vec<usize> = all.texts().iter().map(|tokens| tokens.len()).collect();
    assert_eq!(all.tokens(), lengths.iter().sum::<usize>());
    for (max_texts, max_tokens, expected) in [
        (Some(2), None, 2),
        (None, Some(lengths[0] + lengths[1]), 2),
        (None, Some(lengths[0] + lengths[1] - 1), 1),
        (Some(1), Some(1000), 1),
        (Some(1000), Some(1000), 3),
    ] {
        let options = CalibrationOptions { max_texts, max_tokens, window: None };
        let some = Calibration::from_documents(documents, &text, &options)?;
        assert_eq!(some.texts(), &all.texts()[..expected], "{options:?}");
    }
    for (options, part) in [
        (CalibrationOptions { max_tokens: Some(1), ..Default::default() }, "leave no calibration text: the first has"),
        (CalibrationOptions { max_texts: Some(0), ..Default::default() }, "leave no calibration text: the first has"),
        (CalibrationOptions { window: Some(1), ..Default::default() }, "a window of 1 tokens is too small"),
    ] {
        let error = Calibration::from_documents(documents, &text, &options).err().ok_or(part)?;
        assert!(error.to_string().contains(part), "{error}");
    }
    let error =
        Calibration::from_documents(["a", ""], &text, &CalibrationOptions::default()).err().ok_or("no complaint")?;
    assert!(matches!(error, ObjectiveError::EmptyText { text: 1 }), "{error}");
    Ok(())
}

#[test]
fn a_text_file_and_a_table_give_the_same_texts() -> Outcome {
    let (root, text) = (tempfile::tempdir()?, ModelTokenizer::load(golden("models/bos"))?);
    let documents = ["the cat\nsat", "one two three"];
    std::fs::write(root.path().join("a.txt"), documents.join("\n\n\n"))?;
    let lines = documents.map(|document| json!({"id": 1, "text": document}).to_string());
    std::fs::write(root.path().join("a.jsonl"), lines.join("\n"))?;
    let options = CalibrationOptions::default();
    let expected = Calibration::from_documents(documents, &text, &options)?;
    for name in ["a.txt", "a.jsonl"] {
        assert_eq!(Calibration::from_file(root.path().join(name), &text, &options)?, expected, "{name}");
    }
    let error = Calibration::from_file(root.path().join("b.txt"), &text, &options).err().ok_or("no complaint")?;
    assert!(error.to_string().contains("b.txt: cannot be read"), "{error}");
    Ok(())
}
