//! A place that many processes share, with all that there is of one study.

use super::TaskQueue;
use crate::Error;
use crate::storage::Storage;

/// A place that many processes share, with all that there is of one study: its lines, its tasks, and small files.
///
/// Whoever opens the lines for writing leads the study: [`Storage::open`] lets one in at a time, and a process that
/// ends, however it ends, makes room for the next.
pub trait SharedStore: Send + Sync {
    /// The place in words, for messages: a path, a URL without its password.
    fn location(&self) -> String;

    /// Where the lines of the study are kept.
    fn lines(&self) -> Box<dyn Storage>;

    /// A connection to its tasks. The study need not be there yet.
    ///
    /// # Errors
    /// [`Error::Io`] when the store cannot be reached.
    fn queue(&self) -> Result<Box<dyn TaskQueue>, Error>;

    /// A small file (up to some MiB), if it is there. A name is letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Puts a small file there, in the place of what was there under its name. Who reads finds the one or the other.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error>;
}
