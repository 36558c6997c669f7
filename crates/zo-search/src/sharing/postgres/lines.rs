//! The lines of a study in a database: rows that are only ever added, by the one session that holds the study's lock.

use std::io;
use std::time::Duration;

use postgres::{Client, Statement};

use super::connection::refused;
use super::database::Database;
use crate::Error;
use crate::storage::{Cursor, Storage, StorageWriter, is_header, is_whole};

/// The first number of the locks of those who write: they have the study as the second one.
const WRITERS: i32 = 0x7a6f_5f73;
/// How often the lock is tried: a process that was just ended may hold it for a moment.
const LOCK_TRIES: usize = 20;
/// How long to wait in between.
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The lines of one study.
#[derive(Debug, Clone)]
pub(super) struct Lines(pub(super) Database);

impl Lines {
    fn wrong(&self, action: &'static str) -> impl Fn(postgres::Error) -> Error {
        move |error| self.0.error(action, refused(&error))
    }

    fn no_study(&self, action: &'static str) -> Error {
        self.0.error(action, io::Error::new(io::ErrorKind::NotFound, "there is no such study in this database"))
    }

    /// All lines, of which the first is a header and none is missing or changed; none if there are none.
    fn all(&self, client: &mut Client, study: i32) -> Result<Vec<String>, Error> {
        let lines = self.after(client, study, 0)?;
        match lines.first() {
            Some(first) if !is_header(first) => Err(Error::NoHeader { location: self.location() }),
            _ => Ok(lines),
        }
    }

    /// The lines behind the first `before`, of which none is missing or changed.
    fn after(&self, client: &mut Client, study: i32, before: usize) -> Result<Vec<String>, Error> {
        let damaged = |line, problem| Error::DamagedStudy { location: self.location(), line, problem };
        let sql = "SELECT number, line FROM zo_search.lines WHERE study = $1 AND number > $2 ORDER BY number";
        let rows = client.query(sql, &[&study, &(before as i64)]).map_err(self.wrong("read"))?;
        let mut lines: Vec<String> = Vec::with_capacity(rows.len());
        for (number, row) in (before + 1..).zip(&rows) {
            if row.get::<_, i64>(0) != number as i64 {
                return Err(damaged(number, "the line is missing"));
            }
            let line: String = row.get(1);
            if !is_whole(line.as_bytes()) {
                return Err(damaged(number, "the line is not whole"));
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// The right to write, for as long as the session lives.
    fn lock(&self, client: &mut Client, study: i32) -> Result<(), Error> {
        for attempt in 0..LOCK_TRIES {
            if attempt > 0 {
                std::thread::sleep(LOCK_PAUSE);
            }
            let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&WRITERS, &study]);
            if row.map_err(self.wrong("lock"))?.get(0) {
                return Ok(());
            }
        }
        Err(Error::StudyLocked { location: self.location() })
    }

    fn writer(&self, mut client: Client, study: i32, before: usize) -> Result<Writer, Error> {
        let append = client.prepare("SELECT zo_search.append($1, $2, $3, $4)").map_err(self.wrong("open"))?;
        Ok(Writer { client, append, study, lines: before as i64 })
    }
}

impl Storage for Lines {
    fn location(&self) -> String {
        self.0.location().to_owned()
    }

    fn exists(&self) -> Result<bool, Error> {
        let (mut client, study) = self.0.look()?;
        let Some(study) = study else { return Ok(false) };
        let sql = "SELECT EXISTS (SELECT FROM zo_search.lines WHERE study = $1)";
        Ok(client.query_one(sql, &[&study]).map_err(self.wrong("look for"))?.get(0))
    }

    fn create(&self, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        let (mut client, study) = self.0.enter()?;
        self.lock(&mut client, study)?;
        if !self.all(&mut client, study)?.is_empty() {
            return Err(Error::StudyExists { location: self.location() });
        }
        let mut writer = self.writer(client, study, 0)?;
        writer.append(lines, true).map_err(|source| self.0.error("create", source))?;
        Ok(Box::new(writer))
    }

    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        let (mut client, study) = self.0.look()?;
        let study = study.ok_or_else(|| self.no_study("open"))?;
        self.lock(&mut client, study)?;
        let lines = self.all(&mut client, study)?;
        if lines.is_empty() {
            return Err(self.no_study("open"));
        }
        Ok((Box::new(self.writer(client, study, lines.len())?), lines))
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        let (mut client, study) = self.0.look()?;
        let study = study.ok_or_else(|| self.no_study("read"))?;
        let lines = self.all(&mut client, study)?;
        if lines.is_empty() { Err(self.no_study("read")) } else { Ok(lines) }
    }

    fn read_from(&self, from: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        let (mut client, study) = self.0.look()?;
        let study = study.ok_or_else(|| self.no_study("read"))?;
        let lines = self.after(&mut client, study, from.line)?;
        let last = Cursor { line: (from.line + lines.len()).saturating_sub(1), byte: 0 };
        Ok((lines, last))
    }

    /// By the server's table of locks.
    fn has_writer(&self) -> Result<Option<bool>, Error> {
        let (mut client, study) = self.0.look()?;
        let Some(study) = study else { return Ok(Some(false)) };
        let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 \
                   AND classid = $1::bigint::oid AND objid = $2::bigint::oid AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database()))";
        let row = client.query_one(sql, &[&i64::from(WRITERS), &i64::from(study)]).map_err(self.wrong("look at"))?;
        Ok(Some(row.get(0)))
    }
}

/// The session that holds the lock and adds the lines: when the one is gone, so is the other.
struct Writer {
    client: Client,
    append: Statement,
    study: i32,
    /// How many lines there are.
    lines: i64,
}

impl StorageWriter for Writer {
    fn append(&mut self, lines: &[String], durable: bool) -> io::Result<()> {
        let appended = self.client.execute(&self.append, &[&self.study, &self.lines, &lines, &durable]);
        appended.map_err(|error| refused(&error))?;
        self.lines += lines.len() as i64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The server closes the session some time after the client did: too late for who opens the study right now.
        // If it does not come to that, the lock goes with the session.
        let _ = self.client.query("SELECT pg_advisory_unlock($1, $2)", &[&WRITERS, &self.study]);
    }
}
