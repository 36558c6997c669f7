//! The documents of a task, whatever it asks.

use std::path::PathBuf;

use serde_json::Value;
use task_eval::{
    GenerateRequest, LanguageModel, ModelError, ModelTokenizer, Options, PreparedTask, Score, ScoreRequest, TaskLibrary,
};

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// Finds everything equally likely.
struct Uniform;

impl LanguageModel for Uniform {
    fn max_length(&self) -> usize {
        usize::MAX
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(requests.iter().map(|_| Score { log_likelihood: -1.0, greedy: false }).collect())
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        Ok(vec![Vec::new(); requests.len()])
    }
}

/// The documents of a task with these keys about its data.
pub fn documents(data: &str, options: &Options) -> Outcome<Vec<Value>> {
    let root = tempfile::tempdir()?;
    let keys =
        format!("task: t\noutput_type: loglikelihood\ntest_split: test\ndoc_to_text: a\ndoc_to_target: b\n{data}\n");
    std::fs::write(root.path().join("t.yaml"), keys)?;
    let task = TaskLibrary::load(&[root.path().to_owned()])?.task("t")?.pop().ok_or("no task")?;
    let prepared = PreparedTask::new(&task, &ModelTokenizer::load(golden("models/bos"))?, options)?;
    let samples = prepared.samples(&prepared.evaluate(&mut Uniform)?)?;
    Ok(samples.into_iter().map(|sample| sample["doc"].clone()).collect())
}
