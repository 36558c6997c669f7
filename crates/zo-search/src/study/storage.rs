//! Where the lines of a study are kept: the seam, and the table of what there is.
//!
//! A study is a list of lines that only ever grows. Each line is text without a line break that carries its own
//! checksum ([`is_whole`]). A [`Storage`] says where a study's lines are, or are to be; its [`StorageWriter`] is the
//! one that adds to them. Nothing else of a study knows which storage it is.
//! [`testing::check_storage`](crate::testing::check_storage) tries the laws on yours.

mod directory;
mod files;
mod journal;
mod kind;
mod postgres;
mod sqlite;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub use kind::StorageKind;
use tailor_registry::Registry;

use super::seal::unseal;
use crate::Error;
use crate::row::Row;
use files::FileStorage;
pub(crate) use files::{has_header, refused};
pub(crate) use journal::Content;
use kind::Located;

/// All storages. A new one is a file of this folder with its row, and its lines here.
const ROWS: [Row<Located>; 4] = [postgres::ROW, directory::ROW, sqlite::ROW, journal::ROW];

/// The kinds of storages, the more special ones first. `postgres` and `sqlite` are there in every build;
/// without the feature of that name they refuse to open.
#[must_use]
pub fn storage_kinds() -> Registry<dyn StorageKind> {
    Registry::with_rows("store", ROWS.into_iter().map(|row| Box::new(row) as Box<dyn StorageKind>))
}

/// A place where the lines of one study are kept, or will be.
///
/// Laws: (1) what is read is what was appended, in that order, up to a line that a crash tore; no line is there
/// without all before it; (2) there is one writer at a time, until it is dropped; (3) what exists is not created
/// again; (4) reading neither waits for the writer nor changes anything.
pub trait Storage: Send {
    /// The place in words, for messages: a path, a URL without its password.
    fn location(&self) -> String;

    /// Whether a study is there.
    ///
    /// # Errors
    /// [`Error::Io`] when that cannot be found out.
    fn exists(&self) -> Result<bool, Error>;

    /// A new study with these lines, all of them or nothing.
    ///
    /// # Errors
    /// [`Error::StudyExists`], [`Error::StudyLocked`], [`Error::Io`].
    fn create(&self, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error>;

    /// The lines of an existing study, and the right to add to them. A last line that a crash tore is left out.
    ///
    /// # Errors
    /// [`Error::StudyLocked`] when another process has that right; [`Error::NoHeader`] when it is no study;
    /// [`Error::DamagedStudy`] when a line in the middle is not whole; [`Error::Io`].
    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error>;

    /// The lines of a study that may be in use.
    ///
    /// # Errors
    /// As [`Storage::open`], without [`Error::StudyLocked`].
    fn read(&self) -> Result<Vec<String>, Error>;

    /// The lines from a place on, that line counted in, and the place of the last of them; none from a place behind
    /// the end. For whoever watches a study that grows: only what is new is read, where the storage can do that, and
    /// the line at the place says whether it is still the same study. By default everything is read.
    ///
    /// # Errors
    /// As [`Storage::read`].
    fn read_from(&self, from: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        let mut lines = self.read()?;
        let last = Cursor { line: lines.len().saturating_sub(1), byte: 0 };
        Ok((lines.split_off(from.line.min(lines.len())), last))
    }

    /// Whether some process may add to the study now; none where that cannot be told, which is the default.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn has_writer(&self) -> Result<Option<bool>, Error> {
        Ok(None)
    }
}

/// The place of a line in a study. The default is that of the first line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// How many lines come before it.
    pub line: usize,
    /// How many bytes come before it, where lines lie in a text file one behind the other; else 0.
    pub byte: u64,
}

/// A study in a text file, the journal: one line for each ask and each tell, JSON to be read with any tool, on any
/// disk.
///
/// A torn end, as a crash may leave it, is moved to `NAME.torn` beside the file when the study is opened again.
pub type Journal = FileStorage<journal::JsonLines>;

/// A study in an SQLite database: one table of the lines that a [`Journal`] would have, on a local disk.
///
/// An empty file `NAME.lock` beside it says who writes. In a build without the feature `sqlite` it can be looked for;
/// all else is refused with [`Error::WithoutFeature`].
pub type Sqlite = FileStorage<sqlite::Database>;

/// The only writer of a study, as long as it lives.
pub trait StorageWriter: Send {
    /// Adds lines. Whatever happens, no later opening finds one of them without those before it. If `durable`, they
    /// are on disk (or as safe) when this returns, and with them all before.
    ///
    /// # Errors
    /// What the system says. The study writes nothing more then, until it is opened anew.
    fn append(&mut self, lines: &[String], durable: bool) -> std::io::Result<()>;
}

/// Whether a line (without its line break) is as it was written: its checksum fits.
#[must_use]
pub fn is_whole(line: &[u8]) -> bool {
    unseal(line).is_some()
}

/// Whether a line is the first one of a study.
#[must_use]
pub fn is_header(line: &str) -> bool {
    unseal(line.as_bytes()).is_some_and(|json| json.starts_with(r#"{"t":"header""#))
}

/// The storage at a location: that of the first kind in [`storage_kinds`] that claims it.
///
/// ```
/// # use zo_search::storage::storage_at;
/// let journal = storage_at("no/such/folder/journal.jsonl");
/// assert!(!journal.exists()?);
/// # Ok::<(), zo_search::Error>(())
/// ```
#[must_use]
pub fn storage_at(location: impl AsRef<OsStr>) -> Box<dyn Storage> {
    let location = location.as_ref();
    let kinds = storage_kinds();
    let kind = kinds.iter().find(|kind| kind.claims(location));
    kind.map_or_else(|| Box::new(Journal::new(location)) as Box<dyn Storage>, |kind| kind.at(location))
}

impl<S: Storage + 'static> From<S> for Box<dyn Storage> {
    fn from(storage: S) -> Self {
        Box::new(storage)
    }
}

/// A path or text stands for the storage that [`storage_at`] gives.
macro_rules! from_locations {
    ($($location:ty),*) => {$(
        impl From<$location> for Box<dyn Storage> {
            fn from(location: $location) -> Self {
                storage_at(location)
            }
        }
    )*};
}
from_locations!(&Path, &PathBuf, PathBuf, &OsStr, &OsString, &str);
