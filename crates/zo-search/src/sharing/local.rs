//! A store for the threads of one process: the lines wherever they are kept, the tasks in memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::{MemoryQueue, SharedStore, TaskQueue};
use crate::Error;
use crate::storage::{Storage, storage_at};

/// A study that the threads of one process work on. Its lines are at a [location](storage_at) as those of any study;
/// its tasks end with the process, and are posted again by who goes on.
pub struct LocalStore {
    lines: Box<dyn Fn() -> Box<dyn Storage> + Send + Sync>,
    tasks: MemoryQueue,
    files: Mutex<HashMap<String, Vec<u8>>>,
}

impl LocalStore {
    /// The study at a location.
    #[must_use]
    pub fn new(location: impl Into<OsString>) -> Self {
        let location = location.into();
        Self::with_lines(move || storage_at(&location))
    }

    /// The study whose lines are in the storage that `lines` gives, each time the same one.
    #[must_use]
    pub fn with_lines(lines: impl Fn() -> Box<dyn Storage> + Send + Sync + 'static) -> Self {
        Self { lines: Box::new(lines), tasks: MemoryQueue::new(), files: Mutex::default() }
    }
}

impl SharedStore for LocalStore {
    fn location(&self) -> String {
        self.lines().location()
    }

    fn lines(&self) -> Box<dyn Storage> {
        (self.lines)()
    }

    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error> {
        Ok(Box::new(self.tasks.clone()))
    }

    fn lead(&self) -> Result<Box<dyn Send>, Error> {
        Ok(Box::new(()))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.files.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore").field("location", &self.location()).finish_non_exhaustive()
    }
}
