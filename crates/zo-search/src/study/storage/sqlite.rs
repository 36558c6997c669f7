//! SQLite databases: the row of the table of storages. The storage itself is there with the feature `sqlite`; without
//! it, one that refuses to open stands in its place.

use std::path::Path;

use super::Sqlite;
use super::kind::Located;
use crate::row::Row;

#[cfg_attr(feature = "sqlite", path = "sqlite_database.rs")]
#[cfg_attr(not(feature = "sqlite"), path = "no_sqlite.rs")]
mod database;

pub use database::Database;

/// Extensions of a database.
const DATABASES: [&str; 3] = ["sqlite", "sqlite3", "db"];

/// The row of the table of storages.
pub(super) const ROW: Row<Located> = Row::new(
    "sqlite",
    "The same lines in an SQLite database, on a local disk.",
    &[],
    Located {
        claims: |location| {
            let extension = Path::new(location).extension();
            extension.is_some_and(|own| DATABASES.iter().any(|known| own.eq_ignore_ascii_case(known)))
        },
        at: |location| Box::new(Sqlite::new(location)),
        file_name: Some("journal.sqlite"),
    },
);
