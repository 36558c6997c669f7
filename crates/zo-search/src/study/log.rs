//! The lines of a study that goes on, as its only writer adds to them.

use super::line::Line;
use super::storage::{Storage, StorageWriter};
use crate::Error;

/// The writer of a study, and whether it may still write.
pub(super) struct Log {
    location: String,
    writer: Box<dyn StorageWriter>,
    /// Whether durable lines are forced to disk.
    sync: bool,
    /// Whether a write failed.
    broken: bool,
}

/// Keeps nothing.
struct Memory;

impl StorageWriter for Memory {
    fn append(&mut self, _: &[String], _: bool) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of a study that lives as long as the process.
    pub(super) fn memory() -> Self {
        Self::new("memory".to_owned(), Box::new(Memory))
    }

    /// Of a new study with these lines.
    pub(super) fn create(storage: &dyn Storage, lines: &[Line]) -> Result<Self, Error> {
        let location = storage.location();
        let sealed = seal(lines).map_err(|source| unwritten(&location, source))?;
        Ok(Self::new(location, storage.create(&sealed)?))
    }

    /// Of a study that goes on, and its lines.
    pub(super) fn open(storage: &dyn Storage) -> Result<(Self, Vec<Line>), Error> {
        let (writer, sealed) = storage.open()?;
        let location = storage.location();
        let lines = unseal(&sealed, &location)?;
        Ok((Self::new(location, writer), lines))
    }

    fn new(location: String, writer: Box<dyn StorageWriter>) -> Self {
        Self { location, writer, sync: true, broken: false }
    }

    /// Adds lines; `durable` ones are on disk when this returns, if that is wanted at all.
    pub(super) fn append(&mut self, lines: &[Line], durable: bool) -> Result<(), Error> {
        self.unless_broken()?;
        let written = seal(lines).and_then(|sealed| self.writer.append(&sealed, durable && self.sync));
        written.map_err(|source| {
            self.broken = true;
            unwritten(&self.location, source)
        })
    }

    /// That no write failed before.
    pub(super) fn unless_broken(&self) -> Result<(), Error> {
        if self.broken { Err(Error::StudyBroken { location: self.location.clone() }) } else { Ok(()) }
    }

    /// Whether outcomes are forced to disk one by one.
    pub(super) fn set_sync(&mut self, sync: bool) {
        self.sync = sync;
    }
}

/// The lines of a study that may be in use.
pub(super) fn read(storage: &dyn Storage) -> Result<Vec<Line>, Error> {
    unseal(&storage.read()?, &storage.location())
}

/// The lines as text with checksums.
fn seal(lines: &[Line]) -> std::io::Result<Vec<String>> {
    lines.iter().map(|line| line.seal().map_err(std::io::Error::from)).collect()
}

/// The lines that were sealed into these texts, or [`Error::DamagedStudy`] with the number of the first one that is
/// not whole.
pub(super) fn unseal(sealed: &[String], location: &str) -> Result<Vec<Line>, Error> {
    let damaged = |number: usize| Error::DamagedStudy {
        location: location.to_owned(),
        line: number + 1,
        problem: "the line is not whole, or of a newer version of zo-search",
    };
    sealed
        .iter()
        .enumerate()
        .map(|(number, line)| Line::unseal(line.as_bytes()).ok_or_else(|| damaged(number)))
        .collect()
}

fn unwritten(location: &str, source: std::io::Error) -> Error {
    Error::Io { action: "write", location: location.to_owned(), source }
}
