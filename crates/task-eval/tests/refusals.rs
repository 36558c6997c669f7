//! What is refused by name instead of being scored wrongly: patterns that give up, data that are not here, names that nobody knows.

use std::path::PathBuf;

use task_eval::{
    Error, GenerateRequest, LanguageModel, ModelError, Options, PreparedTask, Score, ScoreRequest, TaskLibrary,
    TaskResult, TokenText,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// On a text of many `ab` without a `c` this pattern backtracks without end: fancy-regex stops after a million steps.
const ENDLESS: &str = "(a|b|ab)*(?>c)";

/// Writes the same answer to every prompt.
struct Parrot(Vec<u32>);

impl LanguageModel for Parrot {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Err("this model only writes".into())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(vec![self.0.clone(); requests.len()])
    }
}

fn tokenizer() -> Result<TokenText, Error> {
    TokenText::load(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/bos"))
}

/// The scores of a generation task with these further keys, whose two documents are all answered with `answer`.
fn generated(keys: &str, answer: &str) -> Outcome<TaskResult> {
    let (folder, tokenizer) = (tempfile::tempdir()?, tokenizer()?);
    let data = "{\"q\": \"x\", \"a\": \"y\"}\n".repeat(2);
    std::fs::write(folder.path().join("data.jsonl"), data)?;
    let task = format!(
        "task: sums\noutput_type: generate_until\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
         dataset_path: json\ndataset_kwargs: {{data_files: {{test: data.jsonl}}}}\n\
         generation_kwargs: {{max_gen_toks: 8}}\n{keys}\n"
    );
    std::fs::write(folder.path().join("sums.yaml"), task)?;
    let task = TaskLibrary::load(&[folder.path().to_owned()])?.task("sums")?.pop().ok_or("no task")?;
    let answer = tokenizer.encode_plain(answer)?;
    Ok(PreparedTask::new(&task, &tokenizer, &Options::default())?.evaluate(&mut Parrot(answer))?)
}

fn refusal(outcome: Outcome<TaskResult>) -> String {
    outcome.map_or_else(|error| error.to_string(), |result| format!("{:?}", result.metrics))
}

#[test]
fn a_filter_whose_pattern_gives_up_is_an_error_not_a_wrong_answer() {
    let keys = format!(
        "filter_list: [{{name: f, filter: [{{function: regex, regex_pattern: '{ENDLESS}'}}, {{function: take_first}}]}}]"
    );
    let refusal = refusal(generated(&keys, &"ab".repeat(40)));
    for part in ["task `sums`", "document 0", "filter `regex`", ENDLESS] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn a_metric_whose_pattern_gives_up_is_an_error_not_a_wrong_answer() {
    let keys = format!("metric_list: [{{metric: exact_match, regexes_to_ignore: ['{ENDLESS}']}}]");
    let refusal = refusal(generated(&keys, &"ab".repeat(40)));
    for part in ["task `sums`", "document 0", "metric `exact_match`", ENDLESS] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn a_template_whose_pattern_gives_up_is_an_error() {
    let text = "ab".repeat(40);
    let keys = format!("description: \"{{{{ '{text}' | regex_replace('{ENDLESS}', '') }}}}\"");
    let refusal = refusal(generated(&keys, "x"));
    for part in ["task `sums`", "document 0", "`description` cannot be rendered"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn where_a_data_set_was_looked_for_is_said_once_a_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let task = "task: sums\noutput_type: loglikelihood\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
                dataset_path: owner/sums";
    std::fs::write(folder.path().join("sums.yaml"), task)?;
    let task = TaskLibrary::load(&[folder.path().to_owned()])?.task("sums")?.pop().ok_or("no task")?;
    let options = Options {
        data_root: folder.path().join("data"),
        hub_cache: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let Err(error) = PreparedTask::new(&task, &tokenizer()?, &options) else { return Err("found".into()) };
    let message = error.to_string();
    let root = folder.path().join("data/owner/sums").display().to_string();
    assert_eq!(message.matches(&root).count(), 1, "{message}");
    Ok(())
}
