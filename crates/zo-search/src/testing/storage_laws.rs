//! Tries the laws of [`Storage`] on any implementation, yours too.

use crate::Error;
use crate::storage::{Cursor, Storage};
use crate::study::seal;

/// A law of [`Storage`] that an implementation breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenStorageLaw {
    /// It is not what it was asked to try: a place where nothing is.
    #[error("{location}: something is there already; try the laws in an empty place")]
    NotEmpty {
        /// The place.
        location: String,
    },
    /// Law 1: what was appended is not what is read.
    #[error("law 1: {appended} lines were appended, and {found} other ones or the same in another order are read")]
    Lost {
        /// How many were appended.
        appended: usize,
        /// How many were found.
        found: usize,
    },
    /// Law 2: two writers at once.
    #[error("law 2: while one writer lives, another one is let in")]
    TwoWriters,
    /// Law 3: a study is overwritten.
    #[error("law 3: what exists is created again")]
    Overwritten,
    /// It is wrong about whether somebody writes.
    #[error("it says that a study {} a writer, which is wrong", if *.found { "has" } else { "has not" })]
    Writer {
        /// Whether it says so.
        found: bool,
    },
    /// It refuses what every storage must do.
    #[error("it refuses what nothing speaks against")]
    Refused {
        /// What it said.
        source: Error,
    },
}

/// Tries the laws of [`Storage`] on what `new` gives: each time the same place, where nothing is yet, and where the
/// test's lines stay.
///
/// # Errors
/// The first law that is found broken.
pub fn check_storage(new: impl Fn() -> Box<dyn Storage>) -> Result<(), BrokenStorageLaw> {
    let refused = |source| BrokenStorageLaw::Refused { source };
    if new().exists().map_err(refused)? {
        return Err(BrokenStorageLaw::NotEmpty { location: new().location() });
    }
    let lines: Vec<String> = (0..6).map(line).collect();
    let mut writer = new().create(&lines[..2]).map_err(refused)?;
    let append = |source| refused(Error::Io { action: "write", location: new().location(), source });
    writer.append(&lines[2..3], true).map_err(append)?;
    reads(&*new(), &lines[..3])?;
    has_writer(&*new(), true)?;
    if new().open().is_ok() {
        return Err(BrokenStorageLaw::TwoWriters);
    }
    if new().create(&lines).is_ok() {
        return Err(BrokenStorageLaw::Overwritten);
    }
    drop(writer);
    if new().create(&lines).is_ok() {
        return Err(BrokenStorageLaw::Overwritten);
    }
    let (mut writer, found) = new().open().map_err(refused)?;
    same(&found, &lines[..3])?;
    writer.append(&lines[3..], false).map_err(append)?;
    drop(writer);
    has_writer(&*new(), false)?;
    reads(&*new(), &lines)
}

/// That a reader finds these lines, also one who has read some of them before.
fn reads(storage: &dyn Storage, expected: &[String]) -> Result<(), BrokenStorageLaw> {
    let refused = |source| BrokenStorageLaw::Refused { source };
    same(&storage.read().map_err(refused)?, expected)?;
    let (all, last) = storage.read_from(Cursor::default()).map_err(refused)?;
    same(&all, expected)?;
    let (again, _) = storage.read_from(last).map_err(refused)?;
    same(&again, &expected[expected.len() - 1..])
}

/// That the storage knows whether a writer lives, or knows that it does not know.
fn has_writer(storage: &dyn Storage, expected: bool) -> Result<(), BrokenStorageLaw> {
    match storage.has_writer().map_err(|source| BrokenStorageLaw::Refused { source })? {
        Some(found) if found != expected => Err(BrokenStorageLaw::Writer { found }),
        _ => Ok(()),
    }
}

/// That the lines found are those appended.
fn same(found: &[String], appended: &[String]) -> Result<(), BrokenStorageLaw> {
    let lost = || BrokenStorageLaw::Lost { appended: appended.len(), found: found.len() };
    if found == appended { Ok(()) } else { Err(lost()) }
}

/// A line as a study writes it, the first one a header.
fn line(number: usize) -> String {
    seal(&match number {
        0 => r#"{"t":"header","v":1}"#.to_owned(),
        number => format!(r#"{{"t":"ask","id":{number},"text":"a \" and a ü"}}"#),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{storage_at, storage_kinds};

    #[test]
    fn every_storage_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for kind in storage_kinds().iter().filter(|kind| cfg!(feature = "sqlite") || kind.name() != "sqlite") {
            // A kind that is not kept in folders has a test of its own.
            let Some(name) = kind.file_name() else { continue };
            let place = folder.path().join(name);
            check_storage(|| storage_at(&place)).map_err(|error| format!("{}: {error:?}", kind.name()))?;
        }
        Ok(())
    }
}
