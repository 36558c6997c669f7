//! Finding tasks, groups and tags by name.
//!
//! A library is an index of the task files below some folders: of each file its name, whether it is a group, and its
//! tags. The files themselves are read again when they are asked for, so a file that is broken harms nobody else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

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
    /// The folders, for errors.
    roots: Vec<PathBuf>,
    /// By name, tasks and groups.
    pub(super) entries: IndexMap<String, TaskEntry>,
    /// Files that could not be read: an error only if they are asked for.
    broken: Vec<PathBuf>,
    /// What the task files may name.
    pub(super) components: Arc<Components>,
}

/// What the index knows of a task file.
#[derive(Debug, Clone)]
pub(super) struct TaskEntry {
    pub(super) file: PathBuf,
    pub(super) is_group: bool,
    /// Other names of a task; a group has none.
    tags: Vec<String>,
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
    pub fn load_with(roots: &[PathBuf], components: impl Into<Arc<Components>>) -> Result<Self, Error> {
        Self::load_shared(roots, components.into())
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

    /// The names of all tasks, sorted, those that come with the crate included; groups and tags are not among them.
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

    /// The names that a pattern stands for; any other name stands for itself.
    pub(super) fn matching(&self, name: &str) -> Result<Vec<String>, Error> {
        if !is_glob(name) || self.entries.contains_key(name) || Path::new(name).is_file() {
            return Ok(vec![name.to_owned()]);
        }
        let mut found: Vec<String> = self.entries.keys().filter(|key| glob_matches(name, key)).cloned().collect();
        found.sort_unstable();
        if found.is_empty() { Err(self.unknown(name)) } else { Ok(found) }
    }

    /// The names of the tasks that have this tag, sorted, as the harness takes them.
    pub(super) fn tagged(&self, tag: &str) -> Vec<String> {
        let has = |entry: &TaskEntry| entry.tags.iter().any(|own| own == tag);
        let mut names: Vec<String> =
            self.entries.iter().filter(|(_, entry)| has(entry)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Why a name is not found: the error of the file of that name if it is broken, or else [`Error::UnknownTask`] with
    /// names that look like it.
    pub(super) fn unknown(&self, name: &str) -> Error {
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
