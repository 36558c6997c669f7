//! Stands in for databases where the crate is built without the feature `sqlite`: whatever is done is refused.

use std::path::Path;

use super::OptunaStudy;
use crate::Error;

pub(super) fn write(_: &OptunaStudy, path: &Path) -> Result<(), Error> {
    Err(refused(path))
}

pub(super) fn check(path: &Path) -> Result<(), Error> {
    Err(refused(path))
}

fn refused(path: &Path) -> Error {
    Error::WithoutFeature { location: path.display().to_string(), feature: "sqlite" }
}
