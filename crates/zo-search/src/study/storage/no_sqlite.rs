//! Stands in for databases where the crate is built without the feature `sqlite`: whatever is done is refused.

use std::path::Path;

use super::StorageWriter;
use crate::Error;

pub(super) fn create(path: &Path, _: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
    Err(refused(path))
}

pub(super) fn open(path: &Path) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
    Err(refused(path))
}

pub(super) fn read(path: &Path) -> Result<Vec<String>, Error> {
    Err(refused(path))
}

fn refused(path: &Path) -> Error {
    Error::WithoutFeature { location: path.display().to_string(), feature: "sqlite" }
}
