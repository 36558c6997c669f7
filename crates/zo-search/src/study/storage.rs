//! Where the lines of a study are kept: in memory, in a journal or in a database.

use std::path::{Path, PathBuf};

use super::files::refused;
use super::line::Line;
use super::{database, journal};
use crate::Error;

/// Keeps lines. What they say is the same wherever they are kept.
pub(super) trait Medium: Send {
    /// Adds sealed lines; whatever happens, no later opening finds one of them without those before it. If `durable`, they are on disk
    /// when this returns, and with them all before.
    fn append(&mut self, lines: &[String], durable: bool) -> std::io::Result<()>;
}

/// The lines of a study that goes on, kept by its only writer.
pub(super) struct Storage {
    path: PathBuf,
    medium: Box<dyn Medium>,
    sync: bool,
    broken: bool,
}

/// No file at all.
struct Memory;

impl Medium for Memory {
    fn append(&mut self, _: &[String], _: bool) -> std::io::Result<()> {
        Ok(())
    }
}

/// Extensions of a database. Every other file is a journal.
const DATABASES: [&str; 3] = ["sqlite", "sqlite3", "db"];

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|extension| DATABASES.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

impl Storage {
    pub(super) fn memory() -> Self {
        Self::new(Path::new(""), Box::new(Memory))
    }

    /// A new file with these lines. It gets its name only when all of them are whole and on disk.
    pub(super) fn create(path: &Path, lines: &[Line]) -> Result<Self, Error> {
        let sealed = seal(lines).map_err(refused("write", path))?;
        let medium = if is_database(path) { database::create(path, &sealed) } else { journal::create(path, &sealed) };
        Ok(Self::new(path, medium?))
    }

    /// An existing file and its lines, the first of which is a header.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Line>), Error> {
        let (medium, lines) = if is_database(path) { database::open(path) } else { journal::open(path) }?;
        Ok((Self::new(path, medium), lines))
    }

    /// The lines of a file that may be in use.
    pub(super) fn read(path: &Path) -> Result<Vec<Line>, Error> {
        if is_database(path) { database::read(path) } else { journal::read(path) }
    }

    fn new(path: &Path, medium: Box<dyn Medium>) -> Self {
        Self { path: path.to_path_buf(), medium, sync: true, broken: false }
    }

    /// Adds lines; `durable` ones are on disk when this returns, if that is wanted at all.
    pub(super) fn append(&mut self, lines: &[Line], durable: bool) -> Result<(), Error> {
        self.unless_broken()?;
        let written = seal(lines).and_then(|sealed| self.medium.append(&sealed, durable && self.sync));
        written.map_err(|source| {
            self.broken = true;
            refused("write", &self.path)(source)
        })
    }

    /// That no write failed before.
    pub(super) fn unless_broken(&self) -> Result<(), Error> {
        if self.broken { Err(Error::JournalBroken { path: self.path.clone() }) } else { Ok(()) }
    }

    /// Whether outcomes are forced to disk one by one.
    pub(super) fn set_sync(&mut self, sync: bool) {
        self.sync = sync;
    }
}

fn seal(lines: &[Line]) -> std::io::Result<Vec<String>> {
    lines.iter().map(|line| line.seal().map_err(std::io::Error::from)).collect()
}
