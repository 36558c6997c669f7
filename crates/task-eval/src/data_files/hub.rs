//! Data sets of the hub on this machine: in a folder of their name, or in the hub's own cache.
//!
//! ```text
//! ROOT/Rowan/hellaswag/default/validation.jsonl                 ROOT: Options::data_root, beside the task file, ...
//! CACHE/datasets--Rowan--hellaswag/snapshots/REVISION/data/validation-00000-of-00001.parquet
//! ```
//!
//! A split's files are named after it. The first folder that has some is taken; files of several folders are never
//! mixed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use indexmap::IndexSet;
use tailor_hub::{Hub, Listing, Repo, RepoKind};

use super::starts;
use crate::config::TaskConfig;
use crate::error::{DataError, Error};
use crate::options::Options;

/// The endings of files in a folder of the hub's.
const ENDINGS: [&str; 4] = ["jsonl", "json", "csv", "parquet"];

/// Revisions of a data set on the hub in which its files are: what its owner has put there, and what the hub has made
/// of that.
const REVISIONS: [&str; 2] = ["main", "refs/convert/parquet"];

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

    /// The split's files among those that a data set has on the hub.
    fn find_listed(&self, listing: &Listing) -> Vec<String> {
        let mut folders: HashMap<&str, Vec<String>> = HashMap::new();
        for file in listing.files.keys() {
            let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
            folders.entry(folder).or_default().push(name.to_owned());
        }
        let in_folder = |folder: &str| Ok(folders.get(folder).cloned().unwrap_or_default());
        self.find::<Infallible>(in_folder).unwrap_or_default()
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
    let named = [options.data_root.clone()].into_iter().chain(starts(task)).map(|root| root.join(split.path));
    let mut roots: Vec<PathBuf> = named.collect();
    for root in &roots {
        let files = split.find(|folder| names_in(&root.join(folder)))?;
        if !files.is_empty() {
            return Ok(files.iter().map(|file| root.join(file)).collect());
        }
    }
    let cache = options.hub_cache.clone().unwrap_or_else(Hub::standard_cache);
    let hub = Hub { cache, download: options.download.clone(), ..Hub::default() };
    let asked = Asked { task, split, hub };
    if let Some(repos) = repos(split.path) {
        let snapshots = asked.snapshots(&repos);
        for (snapshot, listing) in &snapshots {
            let files = asked.in_snapshot(snapshot, listing.as_ref())?;
            if !files.is_empty() {
                return Ok(files);
            }
        }
        if asked.hub.download.is_some() {
            return asked.download(&repos);
        }
        roots.extend(snapshots.into_iter().map(|(snapshot, _)| snapshot));
    }
    // What people make folders of by hand; the hub's library's own names help nobody.
    let folders = split.parts().into_iter().take(3).map(str::to_owned).collect();
    let roots = roots.into_iter().collect::<IndexSet<_>>().into_iter().collect();
    let (task, dataset) = (task.task.clone(), split.data_set());
    Err(DataError::NoLocalData { task, dataset, split: split.split.to_owned(), folders, roots }.into())
}

/// A data set at each of the revisions; none for a path that can only be a folder's.
fn repos(path: &str) -> Option<Vec<Repo>> {
    REVISIONS.into_iter().map(|revision| Repo::new(RepoKind::Dataset, path, revision).ok()).collect()
}

/// A split that a task asks the hub's cache for.
struct Asked<'a> {
    task: &'a TaskConfig,
    split: Split<'a>,
    hub: Hub,
}

impl Asked<'_> {
    /// A data set as it was last downloaded: at the revisions that are known by name, or the only one there is; with
    /// the list of its files, if that is known.
    fn snapshots(&self, repos: &[Repo]) -> Vec<(PathBuf, Option<Listing>)> {
        let mut found: Vec<PathBuf> = repos.iter().filter_map(|repo| self.hub.snapshot(repo)).collect();
        let Some(folder) = repos.first().map(|repo| self.hub.folder(repo)) else { return Vec::new() };
        if found.is_empty() {
            found = folder.snapshots();
            found.truncate(if found.len() == 1 { 1 } else { 0 });
        }
        let commit = |snapshot: &Path| snapshot.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let listing = |snapshot: &Path| commit(snapshot).and_then(|commit| folder.listing(&commit));
        found.into_iter().map(|snapshot| (snapshot.clone(), listing(&snapshot))).collect()
    }

    /// The files of the split in a snapshot. Where it is known which files there are, all of them or none: a part of a
    /// split in several files would look like the whole.
    fn in_snapshot(&self, snapshot: &Path, listing: Option<&Listing>) -> Result<Vec<PathBuf>, Error> {
        let files = match listing {
            None => self.split.find(|folder| names_in(&snapshot.join(folder)))?,
            Some(listing) => self.split.find_listed(listing),
        };
        let whole = listing.is_none_or(|listing| files.iter().all(|file| listing.is_here(snapshot, file)));
        Ok(files.iter().filter(|_| whole).map(|file| snapshot.join(file)).collect())
    }

    /// The files of the split after they were downloaded, from the first revision that has some.
    #[cfg(feature = "download")]
    fn download(&self, repos: &[Repo]) -> Result<Vec<PathBuf>, Error> {
        let (task, dataset) = (self.task.task.clone(), self.split.data_set());
        let failed = |source| {
            Error::from(DataError::Download { task: task.clone(), dataset: dataset.clone(), source: Box::new(source) })
        };
        let mut listed = Vec::new();
        for (place, repo) in repos.iter().enumerate() {
            let listing = match self.hub.listing(repo) {
                // What the hub makes of a data set is not always there.
                Err(tailor_hub::Error::Status { status: 404, .. }) if place > 0 => continue,
                listing => listing.map_err(failed)?,
            };
            let files = self.split.find_listed(&listing);
            if !files.is_empty() {
                let snapshot = self.hub.fetch(repo, &listing, &files).map_err(failed)?;
                return Ok(files.iter().map(|file| snapshot.join(file)).collect());
            }
            listed.extend(listing.files.into_keys());
        }
        let folders = self.split.parts().into_iter().map(str::to_owned).collect();
        let split = self.split.split.to_owned();
        Err(DataError::NoSplit { task, dataset, split, folders, files: listed.into() }.into())
    }

    #[cfg(not(feature = "download"))]
    fn download(&self, _: &[Repo]) -> Result<Vec<PathBuf>, Error> {
        let (task, dataset) = (self.task.task.clone(), self.split.data_set());
        Err(DataError::DownloadNotBuilt { task, dataset }.into())
    }
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

/// Of a folder and a name in it, the path.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
