//! Stands in for databases where the crate is built without the feature `sqlite`.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::{Storage, StorageWriter};
use crate::Error;

/// A study in an SQLite database, in a build that knows none.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    /// The database at a path. Whatever is done with it is refused.
    #[must_use]
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self { path: PathBuf::from(path.as_ref()) }
    }

    fn refused<T>(&self) -> Result<T, Error> {
        Err(Error::WithoutFeature { location: self.location(), feature: "sqlite" })
    }
}

impl Storage for Sqlite {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn exists(&self) -> Result<bool, Error> {
        Ok(self.path.exists())
    }

    fn create(&self, _: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        self.refused()
    }

    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        self.refused()
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        self.refused()
    }
}
