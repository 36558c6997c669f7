//! Stands in for databases where the crate is built without the feature `sqlite`: whatever is done is refused.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::study::storage::files::FileFormat;
use crate::study::storage::{Cursor, StorageWriter};

/// Stands in for the format of a database.
#[derive(Debug, Clone)]
pub struct Database;

impl FileFormat for Database {
    fn create(path: &Path, _: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        Err(refused(path))
    }

    fn open(path: &Path) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        Err(refused(path))
    }

    fn read(path: &Path) -> Result<Vec<String>, Error> {
        Err(refused(path))
    }

    fn read_from(path: &Path, _: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        Err(refused(path))
    }

    fn lock_file(path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

fn refused(path: &Path) -> Error {
    Error::WithoutFeature { location: path.display().to_string(), feature: "sqlite" }
}
