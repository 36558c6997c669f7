//! A study in a PostgreSQL database (12 or later; the feature `postgres`): many studies in one database, for many
//! workers on many machines.
//!
//! ```no_run
//! # use zo_search::sharing::{PostgresStore, SharedStore};
//! let store = PostgresStore::new("postgresql://ann@db.example.org/lab?sslmode=verify-full", "first try");
//! let queue = store.queue()?;
//! # Ok::<(), zo_search::Error>(())
//! ```
//!
//! **The URL** is libpq's, with `study=NAME` as one more parameter. What it leaves out comes from the variables that
//! libpq reads (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`), a password
//! also from the file `~/.pgpass` or `PGPASSFILE`. No message, no `Debug` and no table shows a password.
//!
//! **The schema** `zo_search` is made by the first process that comes, and brought to a newer version by the first
//! newer build; an older build refuses it then ([`Error::NewerDatabase`](crate::Error::NewerDatabase)). Its views are
//! for people and dashboards: `trials`, `trial_values`, `worker_status`, `task_status`. `DELETE FROM zo_search.studies
//! WHERE name = '...'` removes a study.
//!
//! **The writer** of a study's lines holds a lock of its session (an advisory lock) and adds lines in the same session:
//! whoever loses the connection loses the right. Sessions must be its own: a pool between the two (PgBouncer) has to be
//! in session mode.
//!
//! **The queue** makes one round trip for an [`exchange`](crate::sharing::TaskQueue::exchange), the call of a function
//! of the schema, which claims by `FOR UPDATE SKIP LOCKED`. Only the server's clock counts. Calls that a lost
//! connection cut off are made once more on a new one; all of them may be made twice.
//!
//! **The driver** is `postgres`, the synchronous face of `tokio-postgres`, with rustls: the library blocks as its
//! other stores do, needs prepared statements, notifications and arrays, and nothing else. sqlx would bring its own
//! pool, macros that look at a database while they compile, and three times the crates.

use std::ffi::OsStr;

#[cfg_attr(feature = "postgres", path = "postgres/store.rs")]
#[cfg_attr(not(feature = "postgres"), path = "postgres/no_postgres.rs")]
mod store;

pub use store::PostgresStore;
#[cfg(feature = "postgres")]
pub(crate) use store::{connect, refused, shown};
/// The URL of a PostgreSQL database, if a location is one: it begins with `postgresql://` or `postgres://`.
#[must_use]
pub fn url(location: &OsStr) -> Option<&str> {
    location.to_str().filter(|text| ["postgresql://", "postgres://"].iter().any(|scheme| text.starts_with(scheme)))
}
