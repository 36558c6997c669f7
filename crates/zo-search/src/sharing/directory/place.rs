//! A folder, and what is done in it: files that appear whole, names that exactly one process moves.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operations::Operations;
use crate::Error;
use crate::storage::refused;

/// The folder of drafts: files that have no name of their own yet.
const DRAFTS: &str = "temp";
/// How the names of files begin that change a folder.
const CHANGE: &str = ".changed-";
/// Age in the folder of drafts at which a draft is nobody's any more.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// The folder of a store.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    operations: Arc<dyn Operations>,
    /// Whether what must not be torn by a crash of the machine is forced to disk.
    pub(super) sync: bool,
    /// Tells the drafts of this store from those of all others.
    mark: u64,
    drafts: AtomicU64,
}

/// Something new of this process, as 16 hexadecimal digits.
pub(super) fn nonce() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The error of a file that another version wrote, or something else changed.
pub(super) fn unreadable(path: &Path, problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    refused("understand", path)(IoError::new(ErrorKind::InvalidData, problem))
}

impl Place {
    pub(super) fn new(root: PathBuf, operations: Arc<dyn Operations>, sync: bool) -> Self {
        Self { root, operations, sync, mark: rand::random(), drafts: AtomicU64::new(0) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn operations(&self) -> &dyn Operations {
        &*self.operations
    }

    /// Makes these folders.
    pub(super) fn prepare(&self, folders: &[&str]) -> Result<(), Error> {
        for folder in folders.iter().chain(&[DRAFTS]) {
            let path = self.path(folder);
            self.operations.make_folder(&path).map_err(refused("create", &path))?;
        }
        Ok(())
    }

    /// The names in a folder, in no order.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = self.path(folder);
        self.operations.list(&path).map_err(refused("list", &path))
    }

    /// The content of a file whose name others may have made, replaced or not made, just now.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match self.read_known(path)? {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                self.refresh(path.parent().unwrap_or(&self.root))?;
                self.read_known(path)
            }
        }
    }

    /// The content of a file, if this machine knows of it.
    pub(super) fn read_known(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        self.operations.read(path).map_err(refused("read", path))
    }

    /// What a file says.
    pub(super) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, Error> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(path, error))
    }

    /// When a folder changed. From then on this machine knows the names that were in it at that time.
    pub(super) fn refresh(&self, folder: &Path) -> Result<Option<SystemTime>, Error> {
        self.operations.changed(folder).map_err(refused("open", folder))
    }

    /// Whether a file is there.
    pub(super) fn has(&self, path: &Path) -> Result<bool, Error> {
        self.refresh(path.parent().unwrap_or(&self.root))?;
        Ok(self.operations.changed(path).map_err(refused("look for", path))?.is_some())
    }

    /// Writes a file that has no name of its own yet.
    pub(super) fn draft(&self, bytes: &[u8], sync: bool) -> Result<PathBuf, Error> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.path(DRAFTS).join(format!("{}-{:016x}-{number}", std::process::id(), self.mark));
        let written = self.operations.create(&path, bytes, sync && self.sync);
        if written.is_err() {
            // Whatever there is of it, as on a full disk.
            let _ = self.operations.remove(&path);
        }
        written.map_err(refused("write", &path))?;
        Ok(path)
    }

    /// Puts a file there, in the place of what has its name.
    pub(super) fn put(&self, path: &Path, bytes: &[u8], sync: bool) -> Result<(), Error> {
        let draft = self.draft(bytes, sync)?;
        let moved = self.operations.rename(&draft, path);
        if moved.is_err() {
            let _ = self.operations.remove(&draft);
        }
        moved.map_err(refused("write", path))
    }

    /// Puts a file there that must not be there yet. `false` if something else has its name. The content must not be
    /// that of any other call: a reply that got lost (NFS) is made up for by looking whether it is ours.
    pub(super) fn publish(&self, path: &Path, content: &impl Serialize) -> Result<bool, Error> {
        let bytes = serde_json::to_vec(content).map_err(|error| unreadable(path, error))?;
        let draft = self.draft(&bytes, true)?;
        let linked = self.operations.link(&draft, path);
        let ours = match &linked {
            Ok(()) => Ok(true),
            Err(_) => self.read(path).map(|found| found.as_ref() == Some(&bytes)),
        };
        // Now or later; its name says nothing.
        let _ = self.operations.remove(&draft);
        match (ours, linked) {
            (Ok(true), _) => Ok(true),
            (Ok(false), Err(error)) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            (_, linked) => linked.map(|()| true).map_err(refused("link", path)),
        }
    }

    /// Renames a file that others may rename too. `false` if one of them did. Nobody else must ever use the new name:
    /// a reply that got lost (NFS) is made up for by looking whether it is there.
    pub(super) fn shift(&self, from: &Path, to: &Path) -> Result<bool, Error> {
        match self.operations.rename(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => self.has(to),
            Err(error) => Err(refused("rename", from)(error)),
        }
    }

    /// Changes a folder and nothing in it.
    pub(super) fn change(&self, folder: &str) -> Result<(), Error> {
        let mark = self.path(folder).join(format!("{CHANGE}{}", nonce()));
        self.operations.create(&mark, &[], false).map_err(refused("write", &mark))?;
        self.remove(&mark)
    }

    /// Removes what changes of a folder left that were cut off.
    pub(super) fn remove_changes(&self, folder: &str) -> Result<(), Error> {
        let names = self.list(folder)?;
        let mut left = names.iter().filter(|name| name.starts_with(CHANGE));
        left.try_for_each(|name| self.remove(&self.path(folder).join(name)))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, path: &Path) -> Result<(), Error> {
        self.operations.remove(path).map_err(refused("remove", path))
    }

    /// Forces the names in a folder to disk.
    pub(super) fn sync_folder(&self, folder: &Path) -> Result<(), Error> {
        if self.sync { self.operations.sync_folder(folder).map_err(refused("sync", folder)) } else { Ok(()) }
    }

    /// Removes drafts that killed processes left. Their age is the difference of two times of the file system's clock.
    /// A process that was stopped for so long, and then names its draft, gets an error.
    pub(super) fn remove_old_drafts(&self) -> Result<(), Error> {
        let names = self.list(DRAFTS)?;
        if names.is_empty() {
            return Ok(());
        }
        let new = self.draft(&[], false)?;
        let changed = |path: &Path| self.operations.changed(path).map_err(refused("look at", path));
        let now = changed(&new)?;
        for path in names.iter().map(|name| self.path(DRAFTS).join(name)) {
            let age = now.zip(changed(&path)?).and_then(|(now, then)| now.duration_since(then).ok());
            if age.is_some_and(|age| age > OLD) {
                self.remove(&path)?;
            }
        }
        self.remove(&new)
    }
}
