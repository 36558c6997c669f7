//! Stands in for databases where the crate is built without the feature `postgres`: whatever is done is refused.

use crate::Error;
use crate::sharing::{SharedStore, TaskQueue};
use crate::storage::{Storage, StorageWriter};

/// Stands in for a study in a PostgreSQL database: this build is without the feature `postgres`.
#[derive(Debug, Clone)]
pub struct PostgresStore(());

impl PostgresStore {
    /// The study of this name in the database at a URL.
    #[must_use]
    pub fn new(_: &str, _: &str) -> Self {
        Self(())
    }

    /// The study that the URL names as its parameter `study`.
    #[must_use]
    pub fn at(_: &str) -> Self {
        Self(())
    }
}

/// Where a study would be. The URL, which may hold a password, is not kept.
const LOCATION: &str = "a PostgreSQL database";

fn refused<T>() -> Result<T, Error> {
    Err(Error::WithoutFeature { location: LOCATION.to_owned(), feature: "postgres" })
}

impl SharedStore for PostgresStore {
    fn location(&self) -> String {
        LOCATION.to_owned()
    }

    fn lines(&self) -> Box<dyn Storage> {
        Box::new(self.clone())
    }

    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error> {
        refused()
    }

    fn read(&self, _: &str) -> Result<Option<Vec<u8>>, Error> {
        refused()
    }

    fn write(&self, _: &str, _: &[u8]) -> Result<(), Error> {
        refused()
    }
}

impl Storage for PostgresStore {
    fn location(&self) -> String {
        LOCATION.to_owned()
    }

    fn exists(&self) -> Result<bool, Error> {
        refused()
    }

    fn create(&self, _: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        refused()
    }

    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        refused()
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        refused()
    }
}
