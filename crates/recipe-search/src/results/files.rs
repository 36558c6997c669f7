//! Files that are written whole or not at all.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// Whether a folder is empty, or not there yet.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn is_free(folder: &Path) -> Result<bool, Error> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io(folder)(error)),
    }
}

/// Whether a file could be written: better known before the work than after it. Leaves nothing behind.
///
/// # Errors
/// [`Error::Io`].
pub fn check_writable(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Err(Error::io(path)(std::io::ErrorKind::IsADirectory.into()));
    }
    let temporary = temporary(path);
    std::fs::write(&temporary, "").and_then(|()| std::fs::remove_file(&temporary)).map_err(Error::io(path))
}

/// The name under which a file is written until it is whole; another process or thread, of whichever machine, takes
/// another one.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".partial-{:016x}", rand::random::<u64>()));
    name.into()
}

/// Names, lengths and times of the weight files of some folders: what changes when the weights do.
#[must_use]
pub fn weight_files<'a>(folders: impl IntoIterator<Item = &'a Path>) -> String {
    let mut files: Vec<(PathBuf, u64, Option<std::time::SystemTime>)> = Vec::new();
    for entry in folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        // In the hub's cache the files are links.
        let (path, metadata) = (entry.path(), entry.path().metadata());
        let ending = path.extension().and_then(|end| end.to_str());
        if let (Some("safetensors" | "bin"), Ok(metadata)) = (ending, metadata) {
            files.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
    files.sort();
    format!("{files:?}")
}

/// Writes a text file under a temporary name and renames it, so that nothing half-written stays under the final one.
///
/// # Errors
/// [`Error::Io`].
pub fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    write_atomically(path, |file| file.write_all(text.as_bytes())).map_err(Error::io(path))
}

/// As [`write_whole`], with whatever `write` writes.
///
/// # Errors
/// What the operating system or `write` says.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let temporary = temporary(path);
    let written =
        File::create(&temporary).and_then(|mut file| write(&mut file)).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The write's own error matters more than whether a leftover could be removed.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
