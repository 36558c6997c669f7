//! PostgreSQL databases: the row of the table of storages.

use super::kind::Located;
use crate::row::Row;
use crate::sharing::{PostgresStore, SharedStore as _};

/// What the URL of a database begins with.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// The row of the table of storages.
pub(super) const ROW: Row<Located> = Row::new(
    "postgres",
    "The same lines in a PostgreSQL database, at `postgresql://HOST/DATABASE?study=NAME`, for many machines.",
    &[],
    Located {
        claims: |location| location.to_str().is_some_and(|url| SCHEMES.iter().any(|scheme| url.starts_with(scheme))),
        at: |location| PostgresStore::at(&location.to_string_lossy()).lines(),
        file_name: None,
    },
);
