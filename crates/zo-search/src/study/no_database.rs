//! Stands in for databases where the crate is built without the feature `sqlite`.

use std::path::Path;

use super::line::Line;
use super::storage::Medium;
use crate::Error;

pub(super) fn create(path: &Path, _: &[String]) -> Result<Box<dyn Medium>, Error> {
    Err(Error::WithoutSqlite { path: path.to_path_buf() })
}

pub(super) fn open(path: &Path) -> Result<(Box<dyn Medium>, Vec<Line>), Error> {
    Err(Error::WithoutSqlite { path: path.to_path_buf() })
}

pub(super) fn read(path: &Path) -> Result<Vec<Line>, Error> {
    Err(Error::WithoutSqlite { path: path.to_path_buf() })
}
