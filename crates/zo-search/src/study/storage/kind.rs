//! What a row of the table of storages is.

use std::ffi::OsStr;

use tailor_registry::Entry;

use super::Storage;
use crate::row::Row;
use crate::sharing::SharedStore;

/// A kind of storage: a row of the table.
///
/// A study file names it by [`Entry::name`]; a location that a user types is handed to the first kind that
/// [claims](Self::claims) it. A kind for a server claims by the URL's scheme, such as `postgres://`, and has no file
/// name.
pub trait StorageKind: Entry + Send + Sync {
    /// Whether a location is one of this kind: by a file's extension, by a URL's scheme.
    fn claims(&self, location: &OsStr) -> bool;

    /// The storage at a location.
    fn at(&self, location: &OsStr) -> Box<dyn Storage>;

    /// The store at a location that many processes share, of the study of this name where several can be there; none for
    /// a kind whose studies are one process's.
    fn shared(&self, location: &OsStr, study: &str) -> Option<Box<dyn SharedStore>> {
        let _ = (location, study);
        None
    }

    /// What a study's storage is called in a folder of its own; none for a kind that is not kept in folders.
    fn file_name(&self) -> Option<&'static str>;
}

/// Makes the store of a study, by location and name.
type Shared = fn(&OsStr, &str) -> Box<dyn SharedStore>;

/// How a storage of ours is known by its location, and made.
#[derive(Clone, Copy)]
pub(super) struct Located {
    pub(super) claims: fn(&OsStr) -> bool,
    pub(super) at: fn(&OsStr) -> Box<dyn Storage>,
    pub(super) shared: Option<Shared>,
    pub(super) file_name: Option<&'static str>,
}

impl StorageKind for Row<Located> {
    fn claims(&self, location: &OsStr) -> bool {
        (self.functions.claims)(location)
    }

    fn at(&self, location: &OsStr) -> Box<dyn Storage> {
        (self.functions.at)(location)
    }

    fn shared(&self, location: &OsStr, study: &str) -> Option<Box<dyn SharedStore>> {
        self.functions.shared.map(|shared| shared(location, study))
    }

    fn file_name(&self) -> Option<&'static str> {
        self.functions.file_name
    }
}
