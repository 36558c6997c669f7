//! Studies and tasks in PostgreSQL, on a server that each test starts for itself.
//!
//! Run by `cargo test -p zo-search --features postgres --test postgres`; needs Debian's package `postgresql`.
#![cfg(unix)]

use zo_search::sharing::{PostgresStore, SharedStore};
use zo_search::testing::{PostgresServer, check_queue, check_storage};

type Tested = Result<(), Box<dyn std::error::Error>>;

#[test]
fn it_keeps_the_laws() -> Tested {
    let server = PostgresServer::start()?;
    let store = PostgresStore::new(&server.url(), "a");
    check_storage(|| store.lines())?;
    check_queue(|| store.queue())?;
    let other = PostgresStore::new(&server.url(), "b");
    check_storage(|| other.lines())?;
    check_queue(|| other.queue())?;
    Ok(())
}
