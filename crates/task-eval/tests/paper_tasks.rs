//! The tasks of GPTailor and its parent that come with the crate: prompts as OpenCompass makes them, settings as
//! auto-merge-llm has them.

use std::path::PathBuf;

use serde_json::{Value, json};
use task_eval::{
    GenerateRequest, LanguageModel, ModelError, ModelTokenizer, Options, OutputType, PreparedTask, Score, ScoreRequest,
    TaskLibrary,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn tokenizer() -> Outcome<ModelTokenizer> {
    Ok(ModelTokenizer::load(golden("models/bos"))?)
}

/// Writes the same tokens to every prompt, and finds everything equally likely.
struct Parrot(Vec<u32>);

impl LanguageModel for Parrot {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(vec![Score { log_likelihood: -1.0, greedy: false }; requests.len()])
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(vec![self.0.clone(); requests.len()])
    }
}

fn options(data_root: PathBuf) -> Options {
    Options { hub_cache: Some(data_root.clone()), data_root, max_length: Some(8192), ..Options::default() }
}

/// The texts of a sample's requests, each as one.
fn prompts(sample: &Value) -> Outcome<Vec<String>> {
    let of = |texts: &Value| {
        format!("{}{}", texts["arg_0"].as_str().unwrap_or_default(), texts["arg_1"].as_str().unwrap_or_default())
    };
    Ok(sample["arguments"].as_object().ok_or("no arguments")?.values().map(of).collect())
}

/// `tests/golden/opencompass/prompts.json`: its own configs and templates on the same documents.
#[test]
fn every_prompt_of_the_papers_scores_is_opencompasss() -> Outcome {
    let theirs: Value = serde_json::from_str(&std::fs::read_to_string(golden("opencompass/prompts.json"))?)?;
    let (library, tokenizer, options) = (TaskLibrary::load(&[])?, tokenizer()?, options(golden("opencompass/data")));
    let theirs = theirs.as_object().ok_or("no object")?;
    assert_eq!(theirs.len(), 14);
    for (name, expected) in theirs {
        let task = library.task(name)?.pop().ok_or("no task")?;
        let prepared = PreparedTask::new(&task, &tokenizer, &options)?;
        let samples = prepared.samples(&prepared.evaluate(&mut Parrot(Vec::new()))?)?;
        let expected = expected.as_array().ok_or("no list")?;
        assert_eq!(samples.len(), expected.len(), "{name}");
        for (sample, expected) in samples.iter().zip(expected) {
            let (ours, expected) = (prompts(sample)?, expected.as_array().ok_or("no prompts")?);
            // C3's questions of fewer than four choices are filled up there, by the first.
            assert!(ours.len() == expected.len() || name == "gptailor_c3", "{name}: {} prompts", ours.len());
            for (ours, expected) in ours.iter().zip(expected) {
                assert_eq!(ours, expected, "{name}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_right_choice_is_the_one_whose_prompt_holds_the_answer() -> Outcome {
    let (library, tokenizer, options) = (TaskLibrary::load(&[])?, tokenizer()?, options(golden("opencompass/data")));
    for (name, answer) in [
        (
            "gptailor_csqa",
            (|doc, _| doc["choices"]["text"][letter(&doc["answerKey"])].clone()) as fn(&Value, usize) -> Value,
        ),
        ("gptailor_cmnli", |doc, _| json!(["无关", "蕴含", "矛盾"][doc["label"].as_u64().unwrap_or(9) as usize])),
        ("gptailor_boolq", |doc, _| json!(["No", "Yes"][doc["label"].as_u64().unwrap_or(9) as usize])),
        ("gptailor_wsc_ppl", |doc, _| json!(["B", "A"][doc["label"].as_u64().unwrap_or(9) as usize])),
        ("gptailor_c3", |doc, _| doc["answer"].clone()),
        ("gptailor_race_high", |doc, _| doc["answer"].clone()),
        ("gptailor_cmmlu_agronomy", |doc, _| doc["Answer"].clone()),
        ("gptailor_mmlu_college_biology", |doc, _| {
            json!(["A", "B", "C", "D"][doc["answer"].as_u64().unwrap_or(9) as usize])
        }),
        ("gptailor_hellaswag", |doc, right| doc["choices"][right].clone()),
    ] {
        let prepared = PreparedTask::new(&library.task(name)?[0], &tokenizer, &options)?;
        let samples = prepared.samples(&prepared.evaluate(&mut Parrot(Vec::new()))?)?;
        for (place, sample) in samples.iter().enumerate() {
            let (_, right) = prepared.choices(place).ok_or("no choice is right")?;
            let answer = answer(&sample["doc"], right);
            let prompt = &prompts(sample)?[right];
            assert!(prompt.ends_with(answer.as_str().ok_or("no answer")?), "{name}: {prompt:?} and {answer}");
        }
    }
    Ok(())
}

fn letter(value: &Value) -> usize {
    value.as_str().and_then(|letter| "ABCDE".find(letter)).unwrap_or(9)
}

#[test]
fn what_is_written_is_cut_as_opencompass_cuts_it() -> Outcome {
    let (library, tokenizer, options) = (TaskLibrary::load(&[])?, tokenizer()?, options(golden("opencompass/data")));
    for (name, answer, filtered) in [
        ("gptailor_xsum", "\n the cat sits \nDog", "the cat sits"),
        ("gptailor_wsc_gen", "the A or B", "A"),
        ("gptailor_wsc_gen", "the cat", "[invalid]"),
    ] {
        let prepared = PreparedTask::new(&library.task(name)?[0], &tokenizer, &options)?;
        let answer = tokenizer.encode_plain(answer)?;
        let samples = prepared.samples(&prepared.evaluate(&mut Parrot(answer))?)?;
        assert_eq!(samples[0]["filtered_resps"], json!([filtered]), "{name}");
    }
    Ok(())
}

#[test]
fn the_papers_group_has_its_fourteen_scores() -> Outcome {
    let library = TaskLibrary::load(&[])?;
    let selection = library.select(&["gptailor_paper"])?;
    let group = selection.groups.iter().find(|group| group.name == "gptailor_paper").ok_or("no group")?;
    assert_eq!((group.children.len(), group.leaves.len()), (14, 12 + 57 + 67));
    for task in &selection.tasks {
        let written = ["gptailor_wsc_gen", "gptailor_xsum"].contains(&task.task.as_str());
        let kind = if written { OutputType::GenerateUntil } else { OutputType::WholePromptPpl };
        assert_eq!(task.output_type, kind, "{}", task.task);
        let shots = if task.task.contains("mmlu") {
            5
        } else if task.task.contains("csqa") {
            8
        } else {
            0
        };
        assert_eq!(task.num_fewshot.unwrap_or(0), shots, "{}", task.task);
    }
    // OpenCompass's averages over subjects do not weigh them by their questions.
    let subjects = selection.groups.iter().filter(|group| group.name.ends_with("mmlu"));
    assert!(subjects.clone().count() == 2 && subjects.clone().all(|group| !group.metrics[0].weight_by_size));
    Ok(())
}

/// Documents of the searches' tasks, by data set and split.
fn reference_data() -> Outcome<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    let wsc = json!({
        "text": "The cat did n't see the dog .", "span1_text": "cat", "span1_index": 1, "span2_text": "dog",
        "span2_index": 6, "label": 1,
    });
    let sums: String =
        (0..12).map(|n| format!("{{\"question\": \"q{n}\", \"answer\": \"so #### 1,00{n}\"}}\n")).collect();
    let ja: String =
        (0..4).map(|n| format!("{{\"question\": \"q{n}\", \"answer\": null, \"answer_number\": {n}}}\n")).collect();
    for (file, rows) in [
        ("aps/super_glue/wsc.fixed/train.jsonl", wsc.to_string()),
        ("qintongli/GSM-Plus/testmini.jsonl", sums.clone()),
        ("openai/gsm8k/main/test.jsonl", sums),
        ("gsm_ja_dataset/train.jsonl", ja.clone()),
        ("gsm_ja_dataset/validation.jsonl", ja),
    ] {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        std::fs::write(path, rows)?;
    }
    Ok(root)
}

#[test]
fn the_searches_tasks_are_set_as_in_auto_merge_llm() -> Outcome {
    let (root, library, tokenizer) = (reference_data()?, TaskLibrary::load(&[])?, tokenizer()?);
    let options = options(root.path().to_owned());
    let first = |name: &str, split: Option<&str>, answer: &str| -> Outcome<Value> {
        let options = Options { split: split.map(str::to_owned), ..options.clone() };
        let prepared = PreparedTask::new(&library.task(name)?[0], &tokenizer, &options)?;
        let answer = tokenizer.encode_plain(answer)?;
        Ok(prepared.samples(&prepared.evaluate(&mut Parrot(answer))?)?.swap_remove(0))
    };
    let wsc = first("wsc_custom", Some("train"), "")?;
    let passage =
        "Passage: The cat didn't see the *dog*.\nDoes the pronoun # dog # refer to * cat *?\nA. Yes\nB. No\nAnswer: \n";
    assert_eq!(prompts(&wsc)?, [format!("{passage} B"), format!("{passage} A")]);

    // NumPy's permutation of 12 with seed 0 begins with 9.
    let plus = first("gsm_plus_mini", None, "The answer is: 1009")?;
    assert_eq!((&plus["doc"]["question"], &plus["exact_match"]), (&json!("q9"), &json!(1.0)));
    let prompt = &prompts(&plus)?[0];
    assert!(
        prompt.starts_with("Below is an instruction") && prompt.contains("### Instruction:\nq9\n\n### Response: Let's")
    );
    let test = first("gsm8k_test", None, "The answer is: 1,000.")?;
    assert_eq!((&test["filtered_resps"], &test["exact_match"]), (&json!(["1000"]), &json!(1.0)));

    let ja = first("gsm_ja", None, "x")?;
    let prompt = &prompts(&ja)?[0];
    assert_eq!(prompt.matches("問題： ").count(), 4, "three shots and the question: {prompt}");
    for (ours, harness) in [("commonsense_custom", "commonsense_qa"), ("piqa_custom", "piqa")] {
        let (ours, harness) = (library.task(ours)?.remove(0), library.task(harness)?.remove(0));
        assert_eq!(
            (&ours.doc_to_text, &ours.doc_to_choice, &ours.metrics),
            (&harness.doc_to_text, &harness.doc_to_choice, &harness.metrics)
        );
        assert_eq!(ours.evaluated_split(), Some("validation"));
    }
    Ok(())
}
