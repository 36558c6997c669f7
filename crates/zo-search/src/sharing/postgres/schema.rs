//! The schema `zo_search` of a database, and how it comes to the version that this build knows.

use postgres::Client;

use super::connection::refused;
use crate::Error;

/// What was added to the schema, version by version, from 1.
const MIGRATIONS: [&str; 1] = [include_str!("schema/0001.sql")];

/// Of the lock under which the schema changes: `zo_search` as bytes.
const LOCK: i64 = 0x7a6f_5f73_6561_7263;

/// The version of the schema of this build.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// The version of the schema in a database; 0 where there is none.
///
/// # Errors
/// [`Error::NewerDatabase`], [`Error::Io`].
pub(super) fn version(client: &mut Client, location: &str) -> Result<i32, Error> {
    let found = found(client).map_err(|error| wrong(&error, location))?;
    if found > VERSION {
        return Err(Error::NewerDatabase { location: location.to_owned(), found, known: VERSION });
    }
    Ok(found)
}

/// Brings the schema to the version of this build. Of several processes that come at once, one does it and the others
/// wait.
///
/// # Errors
/// [`Error::NewerDatabase`], [`Error::Io`].
pub(super) fn migrate(client: &mut Client, location: &str) -> Result<(), Error> {
    if version(client, location)? == VERSION {
        return Ok(());
    }
    let migrate = |client: &mut Client| {
        let mut transaction = client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        let before = found(&mut transaction)?;
        for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > before) {
            transaction.batch_execute(sql)?;
            transaction.execute("INSERT INTO zo_search.schema_version (version) VALUES ($1)", &[&number])?;
        }
        transaction.commit()
    };
    migrate(client).map_err(|error| wrong(&error, location))?;
    version(client, location).map(drop)
}

fn found(client: &mut impl postgres::GenericClient) -> Result<i32, postgres::Error> {
    // Its own statement: a table that is not there is an error in any statement that names it.
    let there = client.query_one("SELECT to_regclass('zo_search.schema_version') IS NOT NULL", &[])?;
    if !there.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(client.query_one("SELECT coalesce(max(version), 0) FROM zo_search.schema_version", &[])?.get(0))
}

fn wrong(error: &postgres::Error, location: &str) -> Error {
    Error::Io { action: "prepare the schema zo_search of", location: location.to_owned(), source: refused(error) }
}
