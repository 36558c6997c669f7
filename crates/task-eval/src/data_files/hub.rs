//! Data sets of the hub on this machine: in a folder of their name, or in the hub's own cache.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::starts;
use crate::config::TaskConfig;
use crate::error::Error;
use crate::options::Options;

/// The endings of files in a folder of the hub's.
const ENDINGS: [&str; 4] = ["jsonl", "json", "csv", "parquet"];

/// The files of a split, sorted by name: `path` and `name` are the task's `dataset_path` and `dataset_name`.
pub(super) fn files(
    task: &TaskConfig,
    path: &str,
    name: Option<&str>,
    split: &str,
    options: &Options,
) -> Result<Vec<PathBuf>, Error> {
    // A data set without parts lies in a folder of its own, in `data` as on the hub, or in `default`.
    let parts: &[&str] = match name {
        None | Some("default") => &["default", "data", ""],
        Some(name) => &[name],
    };
    let named = [options.data_root.clone()].into_iter().chain(starts(task)).map(|root| root.join(path));
    let cached = options.hub_cache.clone().or_else(standard_cache).and_then(|cache| snapshot(&cache, path));
    let tried: Vec<PathBuf> =
        named.chain(cached).flat_map(|data_set| parts.iter().map(move |part| data_set.join(part))).collect();
    for folder in tried.iter().filter(|folder| folder.is_dir()) {
        let files = files_of(folder, split)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    let dataset = name.map_or_else(|| path.to_owned(), |name| format!("{path}/{name}"));
    Err(Error::NoLocalData { task: task.task.clone(), dataset, split: split.to_owned(), tried })
}

/// Where the hub's own tools keep what they have downloaded.
fn standard_cache() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// A data set as it was last downloaded: the revision that `main` is, or the only one there is.
fn snapshot(cache: &Path, path: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("datasets--{}", path.replace('/', "--")));
    let snapshots = folder.join("snapshots");
    if let Ok(revision) = std::fs::read_to_string(folder.join("refs/main")) {
        return Some(snapshots.join(revision.trim()));
    }
    let mut revisions = std::fs::read_dir(snapshots).ok()?.filter_map(Result::ok);
    let only = revisions.next()?.path();
    revisions.next().is_none().then_some(only)
}

/// Files such as `test.jsonl` and `test-00000-of-00001.jsonl`.
fn files_of(folder: &Path, split: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let (stem, ending) = (text(path.file_stem()), text(path.extension()));
        let is_split =
            stem.strip_prefix(split).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']));
        if is_split && ENDINGS.contains(&ending.as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
