//! A store for the threads of one process: the lines wherever they are kept, the tasks in memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

use super::{MemoryQueue, SharedStore, TaskQueue};
use crate::Error;
use crate::storage::{Storage, storage_at};

/// A study that the threads of one process work on. Its lines are at a [location](storage_at) as those of any study;
/// its tasks end with the process, and are posted again by who goes on.
#[derive(Debug)]
pub struct LocalStore {
    location: OsString,
    tasks: MemoryQueue,
    files: Mutex<HashMap<String, Vec<u8>>>,
}

impl LocalStore {
    /// The study at a location.
    #[must_use]
    pub fn new(location: impl Into<OsString>) -> Self {
        Self { location: location.into(), tasks: MemoryQueue::new(), files: Mutex::default() }
    }
}

impl SharedStore for LocalStore {
    fn location(&self) -> String {
        self.lines().location()
    }

    fn lines(&self) -> Box<dyn Storage> {
        storage_at(&self.location)
    }

    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error> {
        Ok(Box::new(self.tasks.clone()))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.files.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
}
