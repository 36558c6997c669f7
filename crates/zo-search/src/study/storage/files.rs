//! What journals and databases need of the file system: locks, names, and errors that say which file.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

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

const LOCK_TRIES: usize = 20;
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

pub(super) fn refused(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let location = path.display().to_string();
    move |source| Error::Io { action, location, source }
}
