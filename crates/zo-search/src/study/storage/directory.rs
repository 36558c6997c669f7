//! Folders that many machines share: the row of the table of storages.

use std::path::Path;

use super::kind::Located;
use crate::row::Row;
use crate::sharing::{DirectoryStore, SharedStore as _};

/// The row of the table of storages.
pub(super) const ROW: Row<Located> = Row::new(
    "directory",
    "A folder on a disk that many machines share, such as NFS, for those without a database.",
    &[],
    Located {
        // One that is not there yet is made by its kind's name.
        claims: |location| Path::new(location).is_dir(),
        at: |location| DirectoryStore::new(location).lines(),
        shared: Some(|location, _| Box::new(DirectoryStore::new(location))),
        file_name: Some("shared"),
    },
);
