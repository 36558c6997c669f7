//! The golden runs, and a model that answers as the harness's model did.

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;

use serde_json::{Map, Value};
use task_eval::{
    GenerateRequest, LanguageModel, ModelError, ModelTokenizer, OutputType, PreparedTask, Score, ScoreRequest,
    TaskResult,
};

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

pub fn read_json(path: &str) -> Outcome<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(golden(path))?)?)
}

/// The lines of `samples_TASK.jsonl` of a run.
pub fn read_samples(run: &str, task: &str) -> Outcome<Vec<Value>> {
    let text = std::fs::read_to_string(golden(&format!("expected/{run}/samples_{task}.jsonl")))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Gives out, in order, the answers that the harness logged for one task.
pub struct Replay {
    scores: VecDeque<Score>,
    generations: VecDeque<Vec<u32>>,
    max_length: usize,
}

impl Replay {
    pub fn new(task: &PreparedTask, samples: &[Value], text: &ModelTokenizer, max_length: usize) -> Outcome<Self> {
        let (mut scores, mut generations) = (VecDeque::new(), VecDeque::new());
        let filter = &samples.first().ok_or("no samples")?["filter"];
        // Each filter has its own lines of the same answers.
        for (document, sample) in samples.iter().filter(|sample| sample["filter"] == *filter).enumerate() {
            for (place, response) in sample["resps"].as_array().ok_or("no resps")?.iter().enumerate() {
                let first = &response[0];
                // What merges into its context is not asked for.
                if task.score_requests(document).get(place).is_some_and(|request| request.continuation.is_empty()) {
                    continue;
                }
                match task.config().output_type {
                    OutputType::GenerateUntil => {
                        generations.push_back(text.encode_plain(first.as_str().ok_or("no text")?)?);
                    }
                    OutputType::LoglikelihoodRolling => {
                        // The log has the windows' sum: all of it on the first one, nothing on the others.
                        let windows = task.score_requests(document).len();
                        let log_likelihood = first.as_str().ok_or("no score")?.parse()?;
                        scores.push_back(Score { log_likelihood, greedy: false });
                        scores.extend((1..windows).map(|_| Score { log_likelihood: 0.0, greedy: false }));
                    }
                    _ => scores.push_back(Score {
                        log_likelihood: first[0].as_str().ok_or("no score")?.parse()?,
                        greedy: first[1] == "True",
                    }),
                }
            }
        }
        Ok(Self { scores, generations, max_length })
    }
}

impl LanguageModel for Replay {
    fn max_length(&self) -> usize {
        self.max_length
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        requests.iter().map(|_| self.scores.pop_front().ok_or_else(|| "no score is left".into())).collect()
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        requests.iter().map(|_| self.generations.pop_front().ok_or_else(|| "no text is left".into())).collect()
    }
}

/// Every key of every sample.
pub fn compare_samples(run: &str, task: &PreparedTask, result: &TaskResult, theirs: &[Value]) -> Outcome {
    let ours = task.samples(result)?;
    assert_eq!(ours.len(), theirs.len(), "{run} {}", task.name());
    for (ours, theirs) in ours.iter().zip(theirs) {
        let place = format!("{run} {}, document {}", task.name(), theirs["doc_id"]);
        let (ours, theirs) = (ours.as_object().ok_or("no object")?, theirs.as_object().ok_or("no object")?);
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{place}");
        for (key, expected) in theirs.iter().filter(|(key, _)| *key != "brier_score") {
            assert_eq!(same_numbers(&ours[key]), same_numbers(expected), "{place}: {key}");
        }
    }
    Ok(())
}

/// 1 and 1.0 as one number: Python writes either, by the type at hand.
fn same_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.iter().map(same_numbers).collect(),
        other => other.clone(),
    }
}

/// Every number of one task or group.
pub fn compare_entry(place: &str, ours: &Value, theirs: &Value) -> Outcome {
    let (ours, theirs) =
        (ours.as_object().ok_or_else(|| format!("{place} is missing"))?, theirs.as_object().ok_or(place)?);
    assert_eq!(sorted_keys(ours), sorted_keys(theirs), "{place}");
    for (key, expected) in theirs {
        match (ours[key].as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => {
                let allowed = if key.contains("_stderr") { 1e-6 } else { 1e-9 };
                let difference = (found - expected).abs() / expected.abs().max(1.0);
                assert!(difference <= allowed, "{place}: {key} is {found} instead of {expected}");
            }
            _ => assert_eq!(ours[key], *expected, "{place}: {key}"),
        }
    }
    Ok(())
}

fn sorted_keys(map: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
