//! Groups: what their files say, for themselves and for their tasks, and which tasks are in them.
//!
//! ```yaml
//! group: mmlu
//! task: [mmlu_stem, {task: mmlu_law, num_fewshot: 3}, {group: rest, task: [mmlu_art]}]
//! num_fewshot: 5
//! aggregate_metric_list: [{metric: acc, weight_by_size: true}]
//! ```
//!
//! A key of the group that is none of its own, here `num_fewshot`, is passed on to its tasks and wins over theirs. What
//! an outer group says wins over an inner one; what stands beside a task's name wins over both.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::keys::Keys;
use super::library::TaskLibrary;
use super::selection::{GroupConfig, GroupMetric, Selection};
use super::task::TaskConfig;
use super::yaml;
use crate::error::Error;
use crate::python::text::python_str;

impl TaskLibrary {
    /// The tasks behind several names, each of which may be a list with commas, and their groups.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] for a name that nothing has, with those that look like it; what is wrong in the files
    /// behind a name, each named with its key; [`Error::TaskTwice`] for a task that two of the names stand for;
    /// [`Error::GroupCycle`] for groups that hold each other.
    pub fn select(&self, names: &[impl AsRef<str>]) -> Result<Selection, Error> {
        let mut selecting = Selecting::new(self);
        let parts =
            names.iter().flat_map(|name| name.as_ref().split(',')).map(str::trim).filter(|name| !name.is_empty());
        for name in parts {
            for found in self.matching(name)? {
                selecting.add(&found, &Map::new())?;
            }
        }
        Ok(selecting.finish())
    }
}

/// A selection that is being filled from a library.
pub(super) struct Selecting<'a> {
    library: &'a TaskLibrary,
    selection: Selection,
    /// The groups that are being added, outer ones first, so that one that holds itself is found.
    above: Vec<String>,
}

impl<'a> Selecting<'a> {
    /// An empty selection.
    pub(super) fn new(library: &'a TaskLibrary) -> Self {
        Self { library, selection: Selection::default(), above: Vec::new() }
    }

    /// What has been added.
    pub(super) fn finish(self) -> Selection {
        self.selection
    }

    /// Adds what `name` stands for (a task, a group, a tag or a file's path) and returns the names of its tasks.
    /// `overrides` are keys that win over those of the files.
    ///
    /// # Errors
    /// As [`TaskLibrary::select`].
    pub(super) fn add(&mut self, name: &str, overrides: &Map<String, Value>) -> Result<Vec<String>, Error> {
        if let Some(entry) = self.library.entries.get(name) {
            let keys = yaml::read_with_includes(&entry.file)?;
            return if entry.is_group {
                self.add_group(&entry.file, name.to_owned(), keys, overrides)
            } else {
                self.add_task(&entry.file, keys, overrides)
            };
        }
        let tagged = self.library.tagged(name);
        if !tagged.is_empty() {
            let mut leaves = Vec::new();
            for task in tagged {
                leaves.extend(self.add(&task, overrides)?);
            }
            return Ok(leaves);
        }
        self.add_file(name, overrides)
    }

    /// A name that is a task file's path.
    fn add_file(&mut self, name: &str, overrides: &Map<String, Value>) -> Result<Vec<String>, Error> {
        let file = Path::new(name);
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_yaml || !file.is_file() {
            return Err(self.library.unknown(name));
        }
        let keys = yaml::read_with_includes(file)?;
        match keys.get("group").and_then(Value::as_str).map(str::to_owned) {
            Some(group) => self.add_group(file, group, keys, overrides),
            None if keys.contains_key("task") => self.add_task(file, keys, overrides),
            None => Err(Error::Nameless { file: file.to_owned() }),
        }
    }

    /// A task by the keys of its file.
    fn add_task(
        &mut self,
        file: &Path,
        mut keys: Map<String, Value>,
        overrides: &Map<String, Value>,
    ) -> Result<Vec<String>, Error> {
        keys.extend(overrides.clone());
        let task = TaskConfig::from_keys_with(file, keys, Arc::clone(&self.library.components))?;
        if self.selection.tasks.iter().any(|other| other.task == task.task) {
            return Err(Error::TaskTwice { task: task.task });
        }
        let leaves = vec![task.task.clone()];
        self.selection.tasks.push(task);
        Ok(leaves)
    }

    /// A group by the keys of its file, with everything in it. It stands before the groups in it.
    fn add_group(
        &mut self,
        file: &Path,
        name: String,
        map: Map<String, Value>,
        overrides: &Map<String, Value>,
    ) -> Result<Vec<String>, Error> {
        if self.above.contains(&name) {
            return Err(Error::GroupCycle { file: file.to_owned(), group: name });
        }
        let mut keys = Keys::new(file, "", map);
        keys.ignore(&["group", "tag"]);
        let alias = keys.text("group_alias")?;
        let metrics = group_metrics(&mut keys, file)?;
        let version = keys.map("metadata")?.and_then(|metadata| metadata.get("version").map(python_str));
        let members = match keys.value("task")? {
            Some(Value::Array(items)) => items,
            Some(one @ Value::String(_)) => vec![one],
            Some(other) => return Err(keys.bad("task", "a list of tasks", &other)),
            None => return Err(Error::MissingKey { file: file.to_owned(), key: "task" }),
        };
        // What else a group says, it says for its tasks; what is said from above wins.
        let mut passed_on = keys.rest();
        let own: Vec<String> = passed_on.keys().filter(|key| !overrides.contains_key(*key)).cloned().collect();
        passed_on.extend(overrides.clone());
        let place = self.selection.groups.len();
        let group =
            GroupConfig { name: name.clone(), alias, children: Vec::new(), leaves: Vec::new(), metrics, version };
        self.selection.groups.push(group);
        self.above.push(name.clone());
        let (mut children, mut leaves) = (Vec::new(), Vec::new());
        for member in members {
            let written: Vec<String> = member.as_object().map_or_else(Vec::new, |map| map.keys().cloned().collect());
            let within = |key: &str, own: &String| {
                key.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let says = |key: &str| own.iter().chain(&written).any(|own| within(key, own));
            let (child, found) = self.add_member(file, &name, member, &passed_on).map_err(|error| {
                // A task's file is named, but this one is wrong.
                if error.refused_key().is_some_and(says) {
                    Error::PassedOn { file: file.to_owned(), source: Box::new(error) }
                } else {
                    error
                }
            })?;
            children.push(child);
            leaves.extend(found);
        }
        self.above.pop();
        self.selection.groups[place].children = children;
        self.selection.groups[place].leaves.clone_from(&leaves);
        Ok(leaves)
    }

    /// One entry of a group's task list: a name, a name with overrides, or a group written in place.
    fn add_member(
        &mut self,
        file: &Path,
        group: &str,
        member: Value,
        passed_on: &Map<String, Value>,
    ) -> Result<(String, Vec<String>), Error> {
        let mut keys = match member {
            Value::String(name) => {
                let leaves = self.add_named_in(file, &name, passed_on)?;
                return Ok((name, leaves));
            }
            Value::Object(map) => map,
            other => return Err(Keys::new(file, "", Map::new()).bad("task", "a list of names or mappings", &other)),
        };
        if let Some(child) = keys.get("group").and_then(Value::as_str) {
            let name = format!("{group}::{child}");
            let leaves = self.add_group(file, name.clone(), keys, passed_on)?;
            return Ok((name, leaves));
        }
        let Some(Value::String(name)) = keys.shift_remove("task") else {
            return Err(Error::MissingKey { file: file.to_owned(), key: "task" });
        };
        let mut overrides = passed_on.clone();
        overrides.extend(keys);
        let leaves = self.add_named_in(file, &name, &overrides)?;
        Ok((name, leaves))
    }

    /// As [`Self::add`], for a name that stands in a group's file.
    fn add_named_in(&mut self, file: &Path, name: &str, overrides: &Map<String, Value>) -> Result<Vec<String>, Error> {
        self.add(name, overrides).map_err(|error| match error {
            Error::UnknownTask { name, near, roots, unread } => {
                Error::UnknownMember { file: file.to_owned(), name, near, roots, unread }
            }
            other => other,
        })
    }
}

/// `aggregate_metric_list`: one entry or several. The only aggregation is the mean, as in the harness.
fn group_metrics(keys: &mut Keys<'_>, file: &Path) -> Result<Vec<GroupMetric>, Error> {
    let entries = match keys.value("aggregate_metric_list")? {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let metric = |(place, entry): (usize, Value)| {
        let mut keys = Keys::of(file, &format!("aggregate_metric_list[{place}]"), entry)?;
        let aggregation = keys.text("aggregation")?.unwrap_or_else(|| "mean".to_owned());
        if aggregation != "mean" {
            return Err(keys.unsupported("aggregation", &Value::from(aggregation), "mean"));
        }
        keys.ignore(&["higher_is_better"]);
        let metric = GroupMetric {
            metric: keys.text("metric")?.ok_or_else(|| keys.bad("metric", "a metric's name", &Value::Null))?,
            weight_by_size: keys.flag("weight_by_size")?.unwrap_or(true),
            filters: keys.texts("filter_list")?,
        };
        keys.finish()?;
        Ok(metric)
    };
    entries.into_iter().enumerate().map(metric).collect()
}
