//! What names stand for: tasks, and the groups that sum them up.

use super::task::TaskConfig;

/// Tasks asked for together, and the groups that sum them up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The tasks, each once, in the order asked for.
    pub tasks: Vec<TaskConfig>,
    /// The groups asked for and those within them, outer ones first.
    pub groups: Vec<GroupConfig>,
}

/// A group: tasks whose results are summed up.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupConfig {
    /// The name.
    pub name: String,
    /// The name shown in tables.
    pub alias: Option<String>,
    /// The tasks and groups named in it.
    pub children: Vec<String>,
    /// The tasks in it and in its groups.
    pub leaves: Vec<String>,
    /// What is summed up; nothing, if empty.
    pub metrics: Vec<GroupMetric>,
    /// `metadata.version`.
    pub version: Option<String>,
}

/// One entry of `aggregate_metric_list`: a mean over the group's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetric {
    /// The metric's name, without a filter.
    pub metric: String,
    /// Whether each task counts by its documents.
    pub weight_by_size: bool,
    /// The filters to sum up; all, if None.
    pub filters: Option<Vec<String>>,
}
