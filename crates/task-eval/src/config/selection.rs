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

/// What has a score of its own in the harness's table: a task, or a group that sums its tasks up.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredTask<'a> {
    /// The task's or the group's name.
    pub name: &'a str,
    /// The task itself, or all tasks of the group, at least one.
    pub tasks: Vec<&'a TaskConfig>,
}

impl Selection {
    /// The selection as scores: a group that sums its tasks up is one, in place of its tasks and of the groups in it;
    /// the tasks of a group that does not, or of none, are one each.
    ///
    /// ```
    /// use task_eval::TaskLibrary;
    ///
    /// let selection = TaskLibrary::load(&[])?.select(&["mmlu", "piqa"])?;
    /// let scored: Vec<_> = selection.scored().iter().map(|scored| (scored.name, scored.tasks.len())).collect();
    /// assert_eq!(scored, [("mmlu", 57), ("piqa", 1)]);
    /// # Ok::<(), task_eval::Error>(())
    /// ```
    #[must_use]
    pub fn scored(&self) -> Vec<ScoredTask<'_>> {
        let mut scored: Vec<ScoredTask<'_>> = Vec::new();
        for task in &self.tasks {
            // Outer groups stand before those within them.
            let within =
                self.groups.iter().find(|group| !group.metrics.is_empty() && group.leaves.contains(&task.task));
            let name = within.map_or(&task.task, |group| &group.name);
            match scored.iter_mut().find(|scored| within.is_some() && scored.name == name) {
                Some(group) => group.tasks.push(task),
                None => scored.push(ScoredTask { name, tasks: vec![task] }),
            }
        }
        scored
    }
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
