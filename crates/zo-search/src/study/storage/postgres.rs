//! PostgreSQL databases: the row of the table of storages.

use super::kind::Located;
use crate::row::Row;
use crate::sharing::postgres::url;
use crate::sharing::{PostgresStore, SharedStore as _};

/// The row of the table of storages.
pub(super) const ROW: Row<Located> = Row::new(
    "postgres",
    "The same lines in a PostgreSQL database, at `postgresql://HOST/DATABASE?study=NAME`, for many machines.",
    &[],
    Located {
        claims: |location| url(location).is_some(),
        at: |location| PostgresStore::at(&location.to_string_lossy()).lines(),
        shared: Some(|location, study| Box::new(PostgresStore::new(&location.to_string_lossy(), study))),
        file_name: None,
    },
);
