//! A study's `[[tasks]]`.

use serde::{Deserialize, Serialize};

use super::file::defaults;

/// A task and how it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The name of a task or of a group in its YAML file.
    pub name: String,
    /// The metric that counts, `acc` if the file names none: more must be better in it. `exact_match` takes the first
    /// filter that reports it, `exact_match,strict-match` that one.
    #[serde(default = "defaults::metric")]
    pub metric: String,
    /// Its weight in the objective, above 0; 1 if the file gives none. A group's is spread evenly over its tasks.
    #[serde(default = "defaults::one")]
    pub weight: f64,
    /// The split that the search sees; `validation` if the file names none.
    #[serde(default = "defaults::validation")]
    pub validation: String,
    /// The split that only the report sees; `test` if the file names none.
    #[serde(default = "defaults::test")]
    pub test: String,
    /// Only these validation documents, of each task in a group, by their places in the split, counted from 0, in place
    /// of `limit`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<usize>>,
    /// Few-shot examples; absent: what the task file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<usize>,
    /// At most this many validation documents; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// At most this many test documents; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
}

impl TaskSettings {
    /// Whether models are judged on a split of the task's data.
    pub(crate) fn judges_on(&self, split: &str) -> bool {
        self.validation == split || self.test == split
    }
}
