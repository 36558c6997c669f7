//! One study in a database: how to come to it, and how to say where it is.

use std::fmt;
use std::io;

use postgres::Client;

use super::connection::{connect, refused};
use super::schema::{VERSION, migrate, version};
use super::url::{shown, study_of};
use crate::Error;

/// A database and the name of a study in it. Shows the URL without its password only.
#[derive(Clone)]
pub(super) struct Database {
    url: String,
    study: String,
    location: String,
}

impl Database {
    pub(super) fn new(url: &str, study: Option<&str>) -> Self {
        let study = study.map(str::to_owned).or_else(|| study_of(url));
        Self { url: url.to_owned(), location: shown(url, study.as_deref()), study: study.unwrap_or_default() }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// An error of this place.
    pub(super) fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, location: self.location.clone(), source }
    }

    fn connect(&self) -> Result<Client, Error> {
        if self.study.is_empty() {
            let words = "it does not say which study; add `?study=NAME`";
            return Err(self.error("connect to", io::Error::new(io::ErrorKind::InvalidInput, words)));
        }
        connect(&self.url, &self.location)
    }

    /// A connection that changes nothing, and the study's number, if it is there.
    pub(super) fn look(&self) -> Result<(Client, Option<i32>), Error> {
        let mut client = self.connect()?;
        let study = match version(&mut client, &self.location)? {
            VERSION => self.number(&mut client)?,
            0 => None,
            _ => {
                migrate(&mut client, &self.location)?;
                self.number(&mut client)?
            }
        };
        Ok((client, study))
    }

    /// A connection and the study's number; schema and study are made where they are not there.
    pub(super) fn enter(&self) -> Result<(Client, i32), Error> {
        let mut client = self.connect()?;
        migrate(&mut client, &self.location)?;
        let study = match self.number(&mut client)? {
            Some(study) => study,
            None => {
                let sql = "INSERT INTO zo_search.studies (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
                client.execute(sql, &[&self.study]).map_err(|error| self.error("create", refused(&error)))?;
                let gone = || self.error("create", io::Error::other("the study was removed at this moment"));
                self.number(&mut client)?.ok_or_else(gone)?
            }
        };
        Ok((client, study))
    }

    fn number(&self, client: &mut Client) -> Result<Option<i32>, Error> {
        let found = client.query_opt("SELECT id FROM zo_search.studies WHERE name = $1", &[&self.study]);
        Ok(found.map_err(|error| self.error("look for", refused(&error)))?.map(|row| row.get(0)))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.location).finish()
    }
}
