//! What names stand for: tasks, and the groups that sum them up.

use super::task::TaskConfig;

/// Tasks asked for together, and the groups that sum them up; made by
/// [`TaskLibrary::select`](crate::TaskLibrary::select).
///
/// ```
/// use task_eval::TaskLibrary;
///
/// let selection = TaskLibrary::load(&[])?.select(&["mmlu", "piqa"])?;
/// assert_eq!(selection.tasks.len(), 57 + 1);
/// let groups: Vec<&str> = selection.groups.iter().map(|group| group.name.as_str()).collect();
/// assert_eq!(groups, ["mmlu", "mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities"]);
/// # Ok::<(), task_eval::Error>(())
/// ```
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
    /// The name; of a group that is written in another's file `OUTER::INNER`.
    pub name: String,
    /// The name shown in tables (`group_alias`); [`GroupConfig::name`] if None.
    pub alias: Option<String>,
    /// The tasks and groups named in it, in the file's order.
    pub children: Vec<String>,
    /// The names of the tasks in it and in its groups.
    pub leaves: Vec<String>,
    /// What is summed up; nothing, if empty.
    pub metrics: Vec<GroupMetric>,
    /// `metadata.version`, as Python prints it.
    pub version: Option<String>,
}

/// One entry of `aggregate_metric_list`: a mean over the group's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetric {
    /// The metric's name, without a filter.
    pub metric: String,
    /// Whether each task counts by its documents, so that the number is the mean over all documents; else each task
    /// counts once. True by default.
    pub weight_by_size: bool,
    /// The filters to sum up; all, if None.
    pub filters: Option<Vec<String>>,
}
