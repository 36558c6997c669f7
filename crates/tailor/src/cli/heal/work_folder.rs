//! The folder of a training that goes on.

use std::fs::File;
use std::path::{Path, PathBuf};

use tailor::Error;

/// The folder beside the output, `NAME.healing`, that holds what is needed until the end. One process at a time has it.
pub(crate) struct WorkFolder {
    path: PathBuf,
    /// Held while the process lives.
    _lock: File,
}

impl WorkFolder {
    /// Makes the folder, or takes the one that a killed run left.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Busy`] where another process heals to the same output.
    pub fn create(out: &Path) -> Result<Self, Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        let out = std::path::absolute(out).map_err(|source| failed(out, source))?;
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".healing");
        let path = out.with_file_name(name);
        std::fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        let lock = File::create(path.join("lock")).map_err(|source| failed(&path, source))?;
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy(path)),
            // Where there are no locks, nobody looks.
            _ => Ok(Self { path, _lock: lock }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes the folder; one that cannot be removed does no harm.
    pub fn remove(self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
