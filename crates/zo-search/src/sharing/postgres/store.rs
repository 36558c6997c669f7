//! The store itself.

mod connection;
mod database;
mod leadership;
mod lines;
mod password_file;
mod queue;
mod schema;
mod tls;
mod url;

pub(crate) use connection::{connect, refused};
use database::Database;
use leadership::Candidate;
use lines::Lines;
use queue::{PgQueue, Unanswered};
pub(crate) use url::shown;

use crate::Error;
use crate::sharing::{SharedStore, TaskQueue};
use crate::storage::Storage;

/// A study in a PostgreSQL database: see [the module](crate::sharing::postgres).
///
/// Nothing of it may be called from within an asynchronous runtime: its calls block, by a runtime of their own.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Database,
    /// Calls whose answers were lost, by all connections of this store.
    unanswered: Unanswered,
    candidate: Candidate,
}

impl PostgresStore {
    /// The study of this name in the database at a URL, `postgresql://[USER[:PASSWORD]@][HOST[:PORT]]/DATABASE`.
    /// Nothing is connected yet: what is wrong with the URL is said by the first call that connects.
    #[must_use]
    pub fn new(url: &str, study: &str) -> Self {
        Self {
            database: Database::new(url, Some(study)),
            unanswered: Unanswered::default(),
            candidate: Candidate::default(),
        }
    }

    /// The study that the URL names as its parameter `study`, as in `postgresql://host/database?study=NAME`.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { database: Database::new(url, None), unanswered: Unanswered::default(), candidate: Candidate::default() }
    }
}

impl SharedStore for PostgresStore {
    fn location(&self) -> String {
        self.database.location().to_owned()
    }

    fn lines(&self) -> Box<dyn Storage> {
        Box::new(Lines(self.database.clone()))
    }

    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error> {
        Ok(Box::new(PgQueue::connect(self.database.clone(), self.unanswered.clone())?))
    }

    fn lead(&self) -> Result<Box<dyn Send>, Error> {
        Ok(Box::new(self.candidate.lead(&self.database)?))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let (mut client, study) = self.database.look()?;
        let sql = "SELECT bytes FROM zo_search.files WHERE study = $1 AND name = $2";
        // Where there is no study, there may be no table either.
        let Some(study) = study else { return Ok(None) };
        let row = client.query_opt(sql, &[&study, &name]);
        Ok(row.map_err(|error| self.database.error("read a file of", refused(&error)))?.map(|row| row.get(0)))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (mut client, study) = self.database.enter()?;
        let sql = "INSERT INTO zo_search.files (study, name, bytes) VALUES ($1, $2, $3) \
                   ON CONFLICT (study, name) DO UPDATE SET bytes = excluded.bytes, written = now()";
        let written = client.execute(sql, &[&study, &name, &bytes]);
        written.map(drop).map_err(|error| self.database.error("write a file of", refused(&error)))
    }
}
