//! The few file operations that a directory store is made of: the seam at which tests stop it.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

/// Operations on files, each of which opens what it needs anew and closes it again: on NFS that is what makes the
/// writes of one machine visible to another (close-to-open consistency).
pub(super) trait Operations: Send + Sync + Debug {
    /// Makes a folder, and those above it.
    fn make_folder(&self, path: &Path) -> Result<()>;

    /// The names of the files in a folder; none if it is not there.
    fn list(&self, folder: &Path) -> Result<Vec<String>>;

    /// The content of a file, if it is there.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>>;

    /// Writes a file that is not there yet. `sync` forces its content to disk.
    fn create(&self, path: &Path, bytes: &[u8], sync: bool) -> Result<()>;

    /// Writes into a file that is there, at an offset in bytes.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], sync: bool) -> Result<()>;

    /// Gives a file another name, if nothing has that name. Both names are in one file system.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Renames a file, in the place of what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file, if it is there.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Forces the names in a folder to disk.
    fn sync_folder(&self, folder: &Path) -> Result<()>;

    /// When a folder or a file changed, by the clock of the file system; none if it is not there. It is opened for
    /// that: an NFS client then asks the server, and finds names that it took for missing.
    fn changed(&self, path: &Path) -> Result<Option<SystemTime>>;
}

/// The operating system's files.
#[derive(Debug)]
pub(super) struct Disk;

/// How often a file is opened again that another machine replaced while it was read (`ESTALE` of NFS).
const STALE_TRIES: usize = 20;

/// What there is at a path, if anything: tried again as long as it is replaced meanwhile.
fn if_there<T>(mut look: impl FnMut() -> Result<T>) -> Result<Option<T>> {
    for _ in 0..STALE_TRIES {
        match look() {
            Ok(found) => return Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::from(ErrorKind::StaleNetworkFileHandle))
}

impl Operations for Disk {
    fn make_folder(&self, path: &Path) -> Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let names = || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                // Names of ours are text.
                names.extend(entry?.file_name().into_string());
            }
            Ok(names)
        };
        Ok(if_there(names)?.unwrap_or_default())
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        if_there(|| std::fs::read(path))
    }

    fn create(&self, path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        if sync { file.sync_all() } else { Ok(()) }
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], sync: bool) -> Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        if sync { file.sync_all() } else { Ok(()) }
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        if cfg!(windows) {
            return Ok(()); // Folders cannot be opened there.
        }
        match File::open(folder)?.sync_all() {
            // A file system without this.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    fn changed(&self, path: &Path) -> Result<Option<SystemTime>> {
        if_there(|| if cfg!(windows) { path.metadata() } else { File::open(path)?.metadata() }?.modified())
    }
}
