//! Finding tasks, groups and tags by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::keys::Keys;
use super::names::{glob_matches, is_glob, similar};
use super::task::TaskConfig;
use super::yaml;
use crate::bundled;
use crate::components::Components;
use crate::error::Error;

/// The task files under some folders and those that come with the crate, by name.
///
/// A task is asked for by its name, its group's or tag's name, a pattern such as `mmlu_*`, or its file's path.
///
/// ```
/// use task_eval::TaskLibrary;
///
/// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tasks");
/// let library = TaskLibrary::load(&[folder.into()])?;
/// let tasks = library.task("g_group_w")?; // a group and the group in it: four tasks
/// assert_eq!(tasks.len(), 4);
/// let error = library.task("g_mc_basik").unwrap_err();
/// assert!(error.to_string().contains("did you mean `g_mc_basic`"));
/// # Ok::<(), task_eval::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TaskLibrary {
    roots: Vec<PathBuf>,
    entries: IndexMap<String, TaskEntry>,
    /// Files that could not be read: an error only if they are asked for.
    broken: Vec<PathBuf>,
    /// What the task files may name.
    components: Arc<Components>,
}

#[derive(Debug, Clone)]
struct TaskEntry {
    file: PathBuf,
    is_group: bool,
    tags: Vec<String>,
}

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

impl TaskLibrary {
    /// Finds every `*.yaml` below the folders (a file may stand for itself). Later folders win over earlier ones, and
    /// all of them over the tasks that come with the crate.
    ///
    /// # Errors
    /// [`Error::Read`] for a folder that cannot be read. A file that is not valid is an error only when it is asked
    /// for.
    pub fn load(roots: &[PathBuf]) -> Result<Self, Error> {
        Self::load_shared(roots, Components::standard())
    }

    /// As [`TaskLibrary::load`], for task files that name metrics, aggregations and filters of one's own: see
    /// [`Metric`](crate::Metric) and [`Filter`](crate::Filter).
    ///
    /// # Errors
    /// As [`TaskLibrary::load`].
    pub fn load_with(roots: &[PathBuf], components: Components) -> Result<Self, Error> {
        Self::load_shared(roots, Arc::new(components))
    }

    fn load_shared(roots: &[PathBuf], components: Arc<Components>) -> Result<Self, Error> {
        let mut library = Self { roots: roots.to_vec(), components, ..Self::default() };
        library.index(bundled::yaml_files());
        for root in roots {
            library.index(yaml_files(root)?);
        }
        Ok(library)
    }

    /// Adds one folder's files, which win over what is there.
    fn index(&mut self, files: Vec<PathBuf>) {
        let mut found = IndexMap::new();
        for file in files {
            match index_entry(&file) {
                Ok(Some((name, entry))) => {
                    // Within one folder the first file of a name wins.
                    found.entry(name).or_insert(entry);
                }
                Ok(None) => {}
                Err(_) => self.broken.push(file),
            }
        }
        self.entries.extend(found);
    }

    /// The names of all tasks, sorted.
    pub fn task_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.entries.iter().filter(|(_, entry)| !entry.is_group).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The tasks behind one name.
    ///
    /// # Errors
    /// As [`TaskLibrary::select`].
    pub fn task(&self, name: &str) -> Result<Vec<TaskConfig>, Error> {
        Ok(self.select(&[name])?.tasks)
    }

    /// The tasks behind several names, each of which may be a list with commas, and their groups.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] for a name that nothing has, with those that look like it; what is wrong in the files
    /// behind a name, each named with its key; [`Error::TaskTwice`] for a task that two of the names stand for;
    /// [`Error::GroupCycle`] for groups that hold each other.
    pub fn select(&self, names: &[impl AsRef<str>]) -> Result<Selection, Error> {
        let mut selection = Selection::default();
        let parts =
            names.iter().flat_map(|name| name.as_ref().split(',')).map(str::trim).filter(|name| !name.is_empty());
        for name in parts {
            for found in self.matching(name)? {
                self.add(&found, &Map::new(), &mut Vec::new(), &mut selection)?;
            }
        }
        Ok(selection)
    }

    /// The names that a pattern stands for; any other name stands for itself.
    fn matching(&self, name: &str) -> Result<Vec<String>, Error> {
        if !is_glob(name) || self.entries.contains_key(name) || Path::new(name).is_file() {
            return Ok(vec![name.to_owned()]);
        }
        let mut found: Vec<String> = self.entries.keys().filter(|key| glob_matches(name, key)).cloned().collect();
        found.sort_unstable();
        if found.is_empty() { Err(self.unknown(name)) } else { Ok(found) }
    }

    /// Adds what `name` stands for and returns its leaves.
    fn add(
        &self,
        name: &str,
        overrides: &Map<String, Value>,
        above: &mut Vec<String>,
        selection: &mut Selection,
    ) -> Result<Vec<String>, Error> {
        if let Some(entry) = self.entries.get(name) {
            let keys = yaml::read_with_includes(&entry.file)?;
            return if entry.is_group {
                self.add_group(&entry.file, name.to_owned(), keys, overrides, above, selection)
            } else {
                self.add_task(&entry.file, keys, overrides, selection)
            };
        }
        let tagged = self.tagged(name);
        if !tagged.is_empty() {
            let mut leaves = Vec::new();
            for task in tagged {
                leaves.extend(self.add(&task, overrides, above, selection)?);
            }
            return Ok(leaves);
        }
        self.add_file(name, overrides, above, selection)
    }

    /// A name that is a task file's path.
    fn add_file(
        &self,
        name: &str,
        overrides: &Map<String, Value>,
        above: &mut Vec<String>,
        selection: &mut Selection,
    ) -> Result<Vec<String>, Error> {
        let file = Path::new(name);
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_yaml || !file.is_file() {
            return Err(self.unknown(name));
        }
        let keys = yaml::read_with_includes(file)?;
        match keys.get("group").and_then(Value::as_str).map(str::to_owned) {
            Some(group) => self.add_group(file, group, keys, overrides, above, selection),
            None if keys.contains_key("task") => self.add_task(file, keys, overrides, selection),
            None => Err(Error::Nameless { file: file.to_owned() }),
        }
    }

    fn add_task(
        &self,
        file: &Path,
        mut keys: Map<String, Value>,
        overrides: &Map<String, Value>,
        selection: &mut Selection,
    ) -> Result<Vec<String>, Error> {
        keys.extend(overrides.clone());
        let task = TaskConfig::from_keys_with(file, keys, Arc::clone(&self.components))?;
        if selection.tasks.iter().any(|other| other.task == task.task) {
            return Err(Error::TaskTwice { task: task.task });
        }
        let leaves = vec![task.task.clone()];
        selection.tasks.push(task);
        Ok(leaves)
    }

    fn add_group(
        &self,
        file: &Path,
        name: String,
        map: Map<String, Value>,
        overrides: &Map<String, Value>,
        above: &mut Vec<String>,
        selection: &mut Selection,
    ) -> Result<Vec<String>, Error> {
        if above.contains(&name) {
            return Err(Error::GroupCycle { file: file.to_owned(), group: name });
        }
        let mut keys = Keys::new(file, "", map);
        keys.ignore(&["group", "tag"]);
        let alias = keys.text("group_alias")?;
        let metrics = group_metrics(&mut keys, file)?;
        let version = keys.map("metadata")?.and_then(|metadata| metadata.get("version").map(version_text));
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
        let place = selection.groups.len();
        let group =
            GroupConfig { name: name.clone(), alias, children: Vec::new(), leaves: Vec::new(), metrics, version };
        selection.groups.push(group);
        above.push(name.clone());
        let (mut children, mut leaves) = (Vec::new(), Vec::new());
        for member in members {
            let written: Vec<String> = member.as_object().map_or_else(Vec::new, |map| map.keys().cloned().collect());
            let within = |key: &str, own: &String| {
                key.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let says = |key: &str| own.iter().chain(&written).any(|own| within(key, own));
            let (child, found) =
                self.add_member(file, &name, member, &passed_on, above, selection).map_err(|error| {
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
        above.pop();
        selection.groups[place].children = children;
        selection.groups[place].leaves.clone_from(&leaves);
        Ok(leaves)
    }

    /// One entry of a group's task list: a name, a name with overrides, or a group written in place.
    fn add_member(
        &self,
        file: &Path,
        group: &str,
        member: Value,
        passed_on: &Map<String, Value>,
        above: &mut Vec<String>,
        selection: &mut Selection,
    ) -> Result<(String, Vec<String>), Error> {
        let mut keys = match member {
            Value::String(name) => {
                let leaves = self.add_named_in(file, &name, passed_on, above, selection)?;
                return Ok((name, leaves));
            }
            Value::Object(map) => map,
            other => return Err(Keys::new(file, "", Map::new()).bad("task", "a list of names or mappings", &other)),
        };
        if let Some(child) = keys.get("group").and_then(Value::as_str) {
            let name = format!("{group}::{child}");
            let leaves = self.add_group(file, name.clone(), keys, passed_on, above, selection)?;
            return Ok((name, leaves));
        }
        let Some(Value::String(name)) = keys.shift_remove("task") else {
            return Err(Error::MissingKey { file: file.to_owned(), key: "task" });
        };
        let mut overrides = passed_on.clone();
        overrides.extend(keys);
        let leaves = self.add_named_in(file, &name, &overrides, above, selection)?;
        Ok((name, leaves))
    }

    /// As [`Self::add`], for a name that stands in a group's file.
    fn add_named_in(
        &self,
        file: &Path,
        name: &str,
        overrides: &Map<String, Value>,
        above: &mut Vec<String>,
        selection: &mut Selection,
    ) -> Result<Vec<String>, Error> {
        self.add(name, overrides, above, selection).map_err(|error| match error {
            Error::UnknownTask { name, near, roots, unread } => {
                Error::UnknownMember { file: file.to_owned(), name, near, roots, unread }
            }
            other => other,
        })
    }

    fn tagged(&self, tag: &str) -> Vec<String> {
        let has = |entry: &TaskEntry| entry.tags.iter().any(|own| own == tag);
        let mut names: Vec<String> =
            self.entries.iter().filter(|(_, entry)| has(entry)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Why a name is not found: its file is broken, or there is none.
    fn unknown(&self, name: &str) -> Error {
        let named = self.broken.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name));
        let problem = |file: &PathBuf| yaml::read_with_includes(file).err();
        if let Some(error) = named.and_then(problem) {
            return error;
        }
        let unread = self.broken.first().and_then(problem).map(Box::new);
        let tags = self.entries.values().flat_map(|entry| &entry.tags);
        let near = similar(name, self.entries.keys().chain(tags).map(String::as_str));
        Error::UnknownTask { name: name.to_owned(), near, roots: self.roots.clone(), unread }
    }
}

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

fn version_text(version: &Value) -> String {
    crate::python::text::python_str(version)
}

/// The name and kind of what `file` says, if it is a task or a group.
fn index_entry(file: &Path) -> Result<Option<(String, TaskEntry)>, Error> {
    let keys = yaml::read_with_includes(file)?;
    let name = |key: &str| keys.get(key).and_then(Value::as_str).map(str::to_owned);
    let tags = match keys.get("tag") {
        Some(Value::String(tag)) => vec![tag.clone()],
        Some(Value::Array(tags)) => tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let entry =
        |is_group| TaskEntry { file: file.to_owned(), is_group, tags: if is_group { Vec::new() } else { tags } };
    Ok(match name("group") {
        Some(group) => Some((group, entry(true))),
        None => name("task").map(|task| (task, entry(false))),
    })
}

/// Every `*.yaml` below `root`, sorted by path.
fn yaml_files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    if root.is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let failed = |path: &Path, source| Error::Read { file: path.to_owned(), source };
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(|error| failed(&folder, error))?);
            // Links to folders are not followed: they may lead back.
            if kind.is_dir() && path.file_name().is_some_and(|name| name != "__pycache__") {
                folders.push(path);
            } else if !kind.is_dir() && path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named_where_a_task_is_not_found() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("mine.yaml"), "task: sums\noutput_type: generate_until\nmetric_list: ]")?;
        std::fs::write(folder.path().join("both.yaml"), "group: both\ntask: [sums]")?;
        let library = TaskLibrary::load(&[folder.path().to_owned()])?;
        for name in ["mine", "sums", "both"] {
            let error = library.select(&[name]).unwrap_err().to_string();
            assert!(error.contains("mine.yaml: is not valid YAML: ") && error.contains("line 3"), "{name}: {error}");
        }
        Ok(())
    }
}
