//! Groups: the mean over several tasks' metrics.
//!
//! With s_i, e_i and n_i the value, the standard error and the documents of task i, k tasks, and N the sum of n_i:
//!
//! ```text
//! weighted by size    value  (sum of n_i s_i) / N      error  sqrt(sum of (n_i - 1) n_i e_i^2 / (N - k) / N)
//! each task once      value  (sum of s_i) / k          error  sqrt(sum of e_i^2) / k
//! ```
//!
//! These are the harness's (0.4.13). A task without an error leaves its group without one.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::config::{GroupConfig, GroupMetric};
use crate::result::{MetricValue, TaskResult};

/// A group's numbers over all tasks in it and in its groups.
///
/// ```
/// use task_eval::{GroupConfig, GroupMetric, GroupResult, MetricValue, TaskResult};
///
/// let result = |task: &str, value| {
///     let acc = MetricValue { value, stderr: None, higher_is_better: true };
///     let metrics = [("acc,none".to_owned(), acc)].into_iter().collect();
///     TaskResult { task: task.to_owned(), documents: vec![], metrics }
/// };
/// let group = GroupConfig {
///     name: "both".to_owned(),
///     alias: None,
///     children: vec!["easy".to_owned(), "hard".to_owned()],
///     leaves: vec!["easy".to_owned(), "hard".to_owned()],
///     metrics: vec![GroupMetric { metric: "acc".to_owned(), weight_by_size: false, filters: None }],
///     version: None,
/// };
/// let both = GroupResult::new(&group, &[result("easy", 0.75), result("hard", 0.25)]);
/// assert_eq!(both.metrics["acc,none"].value, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupResult {
    /// The group's name.
    pub group: String,
    /// By `metric,filter`.
    pub metrics: IndexMap<String, MetricValue>,
    /// By `metric,filter`: the documents behind the number.
    pub documents: IndexMap<String, usize>,
}

/// One task's part in a group's metric.
struct TaskShare {
    /// Documents that were evaluated.
    documents: f64,
    metric: MetricValue,
}

impl GroupResult {
    /// Sums up those of `results` that are the group's tasks.
    ///
    /// Weighted by size, the value is the mean over all documents and the error that of pooled variances; otherwise
    /// the value is the tasks' mean and the error that of independent tasks.
    pub fn new(group: &GroupConfig, results: &[TaskResult]) -> Self {
        let leaves: Vec<&TaskResult> =
            group.leaves.iter().filter_map(|leaf| results.iter().find(|result| result.task == *leaf)).collect();
        let (mut metrics, mut documents) = (IndexMap::new(), IndexMap::new());
        for wanted in &group.metrics {
            for key in keys(wanted, &leaves) {
                let part = |result: &&TaskResult| {
                    let metric = *result.metrics.get(&key)?;
                    Some(TaskShare { documents: result.documents.len() as f64, metric })
                };
                let parts: Vec<TaskShare> = leaves.iter().filter_map(part).collect();
                let count = leaves.iter().filter(|leaf| leaf.metrics.contains_key(&key));
                documents.insert(key.clone(), count.map(|leaf| leaf.documents.len()).sum());
                metrics.insert(key, combined(&parts, wanted.weight_by_size));
            }
        }
        Self { group: group.name.clone(), metrics, documents }
    }
}

/// The `metric,filter` that some task has and the group wants, in the tasks' order.
fn keys(wanted: &GroupMetric, leaves: &[&TaskResult]) -> Vec<String> {
    let fits = |key: &&String| {
        let Some((metric, filter)) = key.split_once(',') else { return false };
        let filters = wanted.filters.as_ref();
        metric == wanted.metric && filters.is_none_or(|filters| filters.iter().any(|name| name == filter))
    };
    let mut keys: Vec<String> = Vec::new();
    for key in leaves.iter().flat_map(|leaf| leaf.metrics.keys()).filter(fits) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// The group's number of one metric, of tasks of which there is at least one. The direction is the first task's.
fn combined(parts: &[TaskShare], by_size: bool) -> MetricValue {
    let weight = |part: &TaskShare| if by_size { part.documents } else { 1.0 };
    let total: f64 = parts.iter().map(weight).sum();
    let value = parts.iter().map(|part| weight(part) * part.metric.value).sum::<f64>() / total;
    let errors: Option<Vec<f64>> = parts.iter().map(|part| part.metric.stderr).collect();
    let stderr = errors.map(|errors| if by_size { pooled(parts, &errors) } else { independent(&errors) });
    let higher_is_better = parts.first().is_none_or(|part| part.metric.higher_is_better);
    MetricValue { value, stderr, higher_is_better }
}

/// sqrt( sum of (n_i - 1) n_i e_i^2 / (N - k) / N ): the harness's error of the documents' mean.
fn pooled(parts: &[TaskShare], errors: &[f64]) -> f64 {
    let count: f64 = parts.iter().map(|part| part.documents).sum();
    let variance = |(part, error): (&TaskShare, &f64)| (part.documents - 1.0) * part.documents * error * error;
    let sum: f64 = parts.iter().zip(errors).map(variance).sum();
    (sum / (count - parts.len() as f64) / count).sqrt()
}

/// The error of a mean of independent numbers.
fn independent(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error * error).sum::<f64>().sqrt() / errors.len() as f64
}
