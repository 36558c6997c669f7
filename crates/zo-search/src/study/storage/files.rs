//! What studies in files share, whatever the format of the file: what a [`Storage`](super::Storage) says of it, locks,
//! names, and errors that say which file.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Cursor, Storage, StorageWriter, is_header};
use crate::Error;

/// How the lines of a study lie in one file: what [`Storage`] says, for a path.
pub trait FileFormat: Send + 'static {
    /// As [`Storage::create`].
    ///
    /// # Errors
    /// As there.
    fn create(path: &Path, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error>;

    /// As [`Storage::open`].
    ///
    /// # Errors
    /// As there.
    fn open(path: &Path) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error>;

    /// As [`Storage::read`].
    ///
    /// # Errors
    /// As there.
    fn read(path: &Path) -> Result<Vec<String>, Error>;

    /// As [`Storage::read_from`].
    ///
    /// # Errors
    /// As there.
    fn read_from(path: &Path, from: Cursor) -> Result<(Vec<String>, Cursor), Error>;

    /// The file that a writer locks.
    fn lock_file(path: &Path) -> PathBuf;
}

/// A study in one file of the format `F`.
#[derive(Debug, Clone)]
pub struct FileStorage<F> {
    path: PathBuf,
    format: PhantomData<F>,
}

impl<F: FileFormat> FileStorage<F> {
    /// The study in the file at a path. Nothing is looked at or made yet.
    #[must_use]
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self { path: PathBuf::from(path.as_ref()), format: PhantomData }
    }
}

impl<F: FileFormat> Storage for FileStorage<F> {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn exists(&self) -> Result<bool, Error> {
        self.path.try_exists().map_err(refused("look for", &self.path))
    }

    fn create(&self, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        F::create(&self.path, lines)
    }

    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        F::open(&self.path)
    }

    fn read(&self) -> Result<Vec<String>, Error> {
        F::read(&self.path)
    }

    fn read_from(&self, from: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        F::read_from(&self.path, from)
    }

    /// By a shared lock, held for a moment: a writer that begins in it tries again.
    fn has_writer(&self) -> Result<Option<bool>, Error> {
        let path = F::lock_file(&self.path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(false)),
            Err(error) => return Err(refused("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(false)),
            Err(TryLockError::WouldBlock) => Ok(Some(true)),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }
}

/// Takes the study at `path` for this process. A program that is being started has its parent's files open for a
/// moment, and with them the lock of a study that was just closed; so a lock that is held is tried again before it is
/// called another search's.
pub(super) fn lock(file: File, path: &Path) -> Result<File, Error> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(refused("lock", path)(source)),
        }
    }
    Err(Error::StudyLocked { location: path.display().to_string() })
}

/// How often a lock is tried.
const LOCK_TRIES: usize = 20;
/// How long to wait in between.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file beside `path` whose name is longer by `ending`.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    path.with_file_name(name)
}

/// Forces the file's name to disk, where folders can be opened for that (not on Windows). The name is there in any
/// case.
pub(super) fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// The error of a file with which the system refuses to do what is wanted: `cannot {action} {path}`.
pub(crate) fn refused(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let location = path.display().to_string();
    move |source| Error::Io { action, location, source }
}

/// The error of a new study where one is already.
pub(super) fn exists_already(path: &Path) -> Error {
    Error::StudyExists { location: path.display().to_string() }
}

/// The error of a file that is no study.
pub(super) fn no_header(path: &Path) -> Error {
    Error::NoHeader { location: path.display().to_string() }
}

/// That the lines are those of a study: the first one is a header.
pub(crate) fn has_header(lines: &[String], path: &Path) -> Result<(), Error> {
    if lines.first().is_some_and(|first| is_header(first)) { Ok(()) } else { Err(no_header(path)) }
}
