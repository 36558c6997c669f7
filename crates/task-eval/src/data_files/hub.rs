//! Data sets of the hub on this machine: in a folder of their name, or in the hub's own cache.
//!
//! ```text
//! ROOT/Rowan/hellaswag/default/validation.jsonl                 ROOT: Options::data_root, beside the task file, ...
//! CACHE/datasets--Rowan--hellaswag/snapshots/REVISION/data/validation-00000-of-00001.parquet
//! ```
//!
//! A split's files are named after it. The first folder that has some is taken; files of several folders are never
//! mixed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use indexmap::IndexSet;

use super::starts;
use crate::config::TaskConfig;
use crate::error::{DataError, Error};
use crate::options::{Download, Options};

/// The endings of files in a folder of the hub's.
const ENDINGS: [&str; 4] = ["jsonl", "json", "csv", "parquet"];

/// Revisions of a data set on the hub in which its files are: what its owner has put there, and what the hub has made
/// of that.
pub(super) const REVISIONS: [&str; 2] = ["main", "refs/convert/parquet"];

/// A split of a data set of the hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split<'a> {
    /// The task's `dataset_path`.
    pub path: &'a str,
    /// Its `dataset_name`.
    pub name: Option<&'a str>,
    /// `test` and so on.
    pub split: &'a str,
}

impl<'a> Split<'a> {
    /// The split's files, sorted by name, in the folder of the data set that has some; `list` says what lies in a
    /// folder.
    pub fn find<E>(&self, mut list: impl FnMut(&str) -> Result<Vec<String>, E>) -> Result<Vec<String>, E> {
        for part in self.parts() {
            let (own, below) = (part.to_owned(), join(part, self.split));
            for (folder, is_of_split) in [(own, Self::names as fn(&Self, &str) -> bool), (below, |_, _| true)] {
                let named = list(&folder)?.into_iter().filter(|name| is_data(name) && is_of_split(self, name));
                let mut files: Vec<String> = named.map(|name| join(&folder, &name)).collect();
                if !files.is_empty() {
                    files.sort_unstable();
                    return Ok(files);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Folders in which a part of the data set may lie. One without parts lies in a folder of its own, in `data` as on
    /// the hub, in `default`, or under one of the names that the hub's library gives to the only part.
    pub fn parts(&self) -> Vec<&'a str> {
        let own = self.path.rsplit('/').next().unwrap_or_default();
        match self.name {
            None | Some("default") => vec!["default", "data", "", "plain_text", own],
            Some(name) => vec![name],
        }
    }

    /// `dataset_path` with `dataset_name`.
    pub fn data_set(&self) -> String {
        self.name.map_or_else(|| self.path.to_owned(), |name| join(self.path, name))
    }

    /// Whether a name is like `test.jsonl` or `test-00000-of-00001.jsonl`.
    fn names(&self, name: &str) -> bool {
        name.strip_prefix(self.split).is_some_and(|rest| rest.starts_with(['-', '_', '.']))
    }
}

/// The files of a split, sorted by name.
pub(super) fn files(task: &TaskConfig, split: Split<'_>, options: &Options) -> Result<Vec<PathBuf>, Error> {
    let cache = options.hub_cache.clone().or_else(standard_cache).map(|cache| data_set_folder(&cache, split.path));
    let named = [options.data_root.clone()].into_iter().chain(starts(task)).map(|root| root.join(split.path));
    let roots: Vec<PathBuf> = named.chain(cache.iter().flat_map(|cache| snapshots(cache))).collect();
    for root in &roots {
        let files = split.find(|folder| names_in(&root.join(folder)))?;
        if !files.is_empty() {
            return Ok(files.iter().map(|file| root.join(file)).collect());
        }
    }
    let (task, dataset) = (task.task.clone(), split.data_set());
    if let (Some(hub), Some(cache)) = (&options.download, cache.filter(|_| is_id(split.path))) {
        return download(hub, &split, &cache, task, dataset);
    }
    // What people make folders of by hand; the hub's library's own names help nobody.
    let folders = split.parts().into_iter().take(3).map(str::to_owned).collect();
    let roots = roots.into_iter().collect::<IndexSet<_>>().into_iter().collect();
    Err(DataError::NoLocalData { task, dataset, split: split.split.to_owned(), folders, roots }.into())
}

/// The files of a split after they were downloaded.
#[cfg(feature = "download")]
fn download(
    hub: &Download,
    split: &Split<'_>,
    cache: &Path,
    task: String,
    dataset: String,
) -> Result<Vec<PathBuf>, Error> {
    hub.fetch(split, cache).map_err(|source| DataError::Download { task, dataset, source: Box::new(source) }.into())
}

#[cfg(not(feature = "download"))]
fn download(_: &Download, _: &Split<'_>, _: &Path, task: String, dataset: String) -> Result<Vec<PathBuf>, Error> {
    Err(DataError::DownloadNotBuilt { task, dataset }.into())
}

/// Where the hub's own tools keep what they have downloaded.
fn standard_cache() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// The folder of a data set in the hub's cache.
fn data_set_folder(cache: &Path, path: &str) -> PathBuf {
    cache.join(format!("datasets--{}", path.replace('/', "--")))
}

/// A data set as it was last downloaded: at the revisions that are known by name, or the only one there is.
fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let snapshots = folder.join("snapshots");
    let revision = |name| std::fs::read_to_string(folder.join("refs").join(name)).ok();
    let known: Vec<PathBuf> =
        REVISIONS.into_iter().filter_map(revision).map(|revision| snapshots.join(revision.trim())).collect();
    if !known.is_empty() {
        return known;
    }
    let revisions: Vec<PathBuf> = std::fs::read_dir(snapshots)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    if revisions.len() == 1 { revisions } else { Vec::new() }
}

/// The names of the files in a folder; none if it is none.
fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| Error::Read { file: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_name().and_then(OsStr::to_str).filter(|_| path.is_file()).map(str::to_owned));
    }
    Ok(names)
}

/// Whether the name ends as that of a data file.
fn is_data(name: &str) -> bool {
    Path::new(name).extension().and_then(OsStr::to_str).is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Whether a path may be the name of a data set on the hub, `org/name` or `name`, and not a folder's.
fn is_id(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    path.split('/').count() <= 2 && path.split('/').all(part)
}

/// Of a folder and a name in it, the path.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
