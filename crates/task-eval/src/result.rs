//! What an evaluation gives: per document and for the whole task.
//!
//! A number is named `metric,filter`, as in the harness's `results.json`. The filter is that of a pipeline of
//! `filter_list`, or `none` where the task has no such list.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::Score;

/// The scores of one task on one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task's name.
    pub task: String,
    /// The documents evaluated, in the order asked for.
    pub documents: Vec<DocumentResult>,
    /// By `metric,filter`, such as `acc,none`, in the harness's order.
    pub metrics: IndexMap<String, MetricValue>,
}

/// One number about a task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// The number. Its range is the metric's: from 0 to 1 for an accuracy, to 100 for BLEU, without a bound for a
    /// perplexity.
    pub value: f64,
    /// Its standard error, where one is defined and could be computed.
    pub stderr: Option<f64>,
    /// Whether more is better.
    pub higher_is_better: bool,
}

/// One document's part in a [`TaskResult`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentResult {
    /// Its place in the evaluated split, from 0.
    pub index: usize,
    /// By `metric,filter`, this document alone: 0 or 1 for accuracies, ln p for `perplexity`, ln p per word or byte
    /// for the rolling ones, the squared distance for `brier_score`, whether the class was right for `f1` and `mcc`.
    pub metrics: IndexMap<String, f64>,
    /// A dense loss, which changes with every weight of the model: -ln of the gold's share among the choices (multiple
    /// choice), or -ln p per token (log-likelihood, rolling). None for generation and where no gold is valid.
    pub loss: Option<f64>,
    /// What the model answered, one per request.
    pub responses: Vec<Response>,
}

/// A model's answer to one request of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Response {
    /// How likely the continuation is, and whether greedy decoding would have written it.
    Score {
        /// ln p.
        log_likelihood: f64,
        /// Whether each token was the most likely.
        greedy: bool,
    },
    /// ln p of a whole text.
    Rolling {
        /// ln p, summed over the windows.
        log_likelihood: f64,
    },
    /// What the model wrote, once per repeat.
    Text {
        /// The texts, cut at the first stop string.
        texts: Vec<String>,
    },
}

impl From<Score> for Response {
    fn from(score: Score) -> Self {
        Self::Score { log_likelihood: score.log_likelihood, greedy: score.greedy }
    }
}

impl TaskResult {
    /// The value of `metric,filter`, or of `metric` under the first filter that has it.
    ///
    /// ```
    /// # use task_eval::{MetricValue, TaskResult};
    /// # let acc = MetricValue { value: 0.5, stderr: None, higher_is_better: true };
    /// # let metrics = [("acc,none".to_owned(), acc)].into_iter().collect();
    /// # let result = TaskResult { task: "sums".to_owned(), documents: vec![], metrics };
    /// assert_eq!(result.metric("acc").map(|m| m.value), Some(0.5));
    /// assert_eq!(result.metric("acc,none").map(|m| m.value), Some(0.5));
    /// ```
    pub fn metric(&self, name: &str) -> Option<&MetricValue> {
        named(&self.metrics, name)
    }

    /// The mean of the documents' dense losses, in nats; None if no document has one.
    pub fn mean_loss(&self) -> Option<f64> {
        let losses: Vec<f64> = self.documents.iter().filter_map(|document| document.loss).collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }
}

impl DocumentResult {
    /// The value of `metric,filter`, or of `metric` under the first filter that has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        named(&self.metrics, name).copied()
    }
}

/// What stands under `metric,filter`, or under `metric` with the first filter that has it.
fn named<'a, T>(metrics: &'a IndexMap<String, T>, name: &str) -> Option<&'a T> {
    let same = |key: &str| key.split_once(',').is_some_and(|(metric, _)| metric == name);
    metrics.get(name).or_else(|| metrics.iter().find_map(|(key, value)| same(key).then_some(value)))
}
