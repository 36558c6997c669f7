//! The table of storages.

use std::ffi::OsStr;
use std::path::Path;

use tailor_registry::{Entry, Registry};

use super::{Journal, Sqlite, Storage};
use crate::row::Row;

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
    Registry::with_rows("store", ROWS.into_iter().map(|row| Box::new(row) as Box<dyn StorageKind>))
}

/// How a storage of ours is known by its location, and made.
#[derive(Clone, Copy)]
struct InFile {
    claims: fn(&OsStr) -> bool,
    at: fn(&OsStr) -> Box<dyn Storage>,
    file_name: &'static str,
}

impl StorageKind for Row<InFile> {
    fn claims(&self, location: &OsStr) -> bool {
        (self.functions.claims)(location)
    }

    fn at(&self, location: &OsStr) -> Box<dyn Storage> {
        (self.functions.at)(location)
    }

    fn file_name(&self) -> Option<&'static str> {
        Some(self.functions.file_name)
    }
}

/// Extensions of a database.
const DATABASES: [&str; 3] = ["sqlite", "sqlite3", "db"];

/// All storages: a new one is a file and a row here.
const ROWS: [Row<InFile>; 2] = [
    Row::new(
        "sqlite",
        "The same lines in an SQLite database, on a local disk.",
        &[],
        InFile {
            claims: |location| {
                let extension = Path::new(location).extension();
                extension.is_some_and(|own| DATABASES.iter().any(|known| own.eq_ignore_ascii_case(known)))
            },
            at: |location| Box::new(Sqlite::new(location)),
            file_name: "journal.sqlite",
        },
    ),
    Row::new(
        "journal",
        "A text file of JSON lines, to be read with any tool, on any disk.",
        &[],
        InFile { claims: |_| true, at: |location| Box::new(Journal::new(location)), file_name: "journal.jsonl" },
    ),
];
