//! The store's lines as a [`Storage`].

use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;

use super::leader::{LEADER, Term, newest};
use super::segments::{self, LINES, Segment};
use super::{Shared, cleaning};
use crate::Error;
use crate::storage::{Storage, StorageWriter, has_header};

/// The lines of the study in a store.
pub(super) struct DirectoryLines(pub(super) Arc<Shared>);

impl DirectoryLines {
    fn locked(&self) -> Error {
        Error::StudyLocked { location: self.location() }
    }

    /// The study of a term that has begun: its lines, and its writer.
    fn take(&self, term: Term) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        let place = &self.0.place;
        let segment = Segment { term: term.number, length: 0, next: None };
        let path = segment.path(place);
        place.operations().create(&path, &[], place.sync).map_err(crate::storage::refused("create", &path))?;
        let lines = segments::attach(place, term.number)?.ok_or_else(|| self.locked())?;
        has_header(&lines, place.root())?;
        // What is left over is in nobody's way.
        let _ = cleaning::clean(place, term.number);
        Ok((Box::new(Writer { shared: Arc::clone(&self.0), segment, broken: false, _term: term }), lines))
    }
}

impl Storage for DirectoryLines {
    fn location(&self) -> String {
        self.0.place.root().display().to_string()
    }

    fn exists(&self) -> Result<bool, Error> {
        segments::is_there(&self.0.place)
    }

    fn create(&self, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        let place = &self.0.place;
        self.0.prepare(&[LINES, LEADER])?;
        let exists = || Error::StudyExists { location: self.location() };
        if segments::is_there(place)? {
            return Err(if newest(&self.0)?.1 { self.locked() } else { exists() });
        }
        let term = Term::begin(&self.0)?.ok_or_else(|| self.locked())?;
        let text = text(lines);
        let segment = Segment { term: term.number, length: text.len() as u64, next: None };
        let path = segment.path(place);
        let made = place.operations().create(&path, text.as_bytes(), place.sync);
        made.map_err(crate::storage::refused("create", &path))?;
        if !segments::begin(place, term.number)? {
            place.remove(&path)?;
            return Err(exists());
        }
        Ok(Box::new(Writer { shared: Arc::clone(&self.0), segment, broken: false, _term: term }))
    }

    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        // An error where there is no study; nothing is made there then.
        segments::chain(&self.0.place)?;
        self.take(Term::begin(&self.0)?.ok_or_else(|| self.locked())?)
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        segments::read(&self.0.place)
    }

    /// By its leader's signs of life.
    fn has_writer(&self) -> Result<Option<bool>, Error> {
        Ok(Some(newest(&self.0)?.1))
    }
}

/// Lines with their line breaks.
fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// The leader.
struct Writer {
    shared: Arc<Shared>,
    segment: Segment,
    broken: bool,
    /// Ends with the writer.
    _term: Term,
}

impl StorageWriter for Writer {
    fn append(&mut self, lines: &[String], durable: bool) -> std::io::Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(IoError::other("an earlier write failed"));
        }
        let (place, text) = (&self.shared.place, text(lines));
        let (path, durable) = (self.segment.path(place), durable && place.sync);
        let taken_over = || IoError::new(ErrorKind::PermissionDenied, "another process leads this study by now");
        match place.operations().write_at(&path, self.segment.length, text.as_bytes(), durable) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(taken_over()),
            written => written?,
        }
        let longer = Segment { length: self.segment.length + text.len() as u64, ..self.segment };
        let moved = place.shift(&path, &longer.path(place)).map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => IoError::other(other),
        });
        if !moved? {
            return Err(taken_over());
        }
        if durable {
            place.operations().sync_folder(&place.path(LINES))?;
        }
        (self.segment, self.broken) = (longer, false);
        Ok(())
    }
}
