//! The table of storages.

use std::ffi::OsStr;
use std::path::Path;

use tailor_registry::{Entry, Registry};

use super::{Journal, Sqlite, Storage};

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

    /// What a study's storage is called in a folder of its own; none for a kind that is not kept in folders.
    fn file_name(&self) -> Option<&'static str>;
}

/// The kinds of storages, the more special ones first. `sqlite` is there in every build; without the feature of that
/// name it refuses to open.
#[must_use]
pub fn storage_kinds() -> Registry<dyn StorageKind> {
    let rows: [Box<dyn StorageKind>; 2] = [Box::new(SqliteKind), Box::new(JournalKind)];
    Registry::with_rows("store", rows)
}

struct JournalKind;

impl Entry for JournalKind {
    fn name(&self) -> &str {
        "journal"
    }

    fn summary(&self) -> &str {
        "A text file of JSON lines, to be read with any tool, on any disk."
    }
}

impl StorageKind for JournalKind {
    fn claims(&self, _: &OsStr) -> bool {
        true
    }

    fn at(&self, location: &OsStr) -> Box<dyn Storage> {
        Box::new(Journal::new(location))
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("journal.jsonl")
    }
}

/// Extensions of a database.
const DATABASES: [&str; 3] = ["sqlite", "sqlite3", "db"];

struct SqliteKind;

impl Entry for SqliteKind {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn summary(&self) -> &str {
        "The same lines in an SQLite database, on a local disk."
    }
}

impl StorageKind for SqliteKind {
    fn claims(&self, location: &OsStr) -> bool {
        let extension = Path::new(location).extension();
        extension.is_some_and(|own| DATABASES.iter().any(|known| own.eq_ignore_ascii_case(known)))
    }

    fn at(&self, location: &OsStr) -> Box<dyn Storage> {
        Box::new(Sqlite::new(location))
    }

    fn file_name(&self) -> Option<&'static str> {
        Some("journal.sqlite")
    }
}
