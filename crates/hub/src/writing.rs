//! What is written into the cache: links, branches, small files. Each appears when it is whole.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, RepoFolder};

impl RepoFolder {
    /// Where a whole file lies.
    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The file that is locked while a blob is written.
    pub(crate) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Where the header of a file of safetensors is kept.
    pub(crate) fn header(&self, commit: &str, file: &str) -> PathBuf {
        self.own(commit).join("headers").join(file)
    }

    /// Writes down at which commit a revision is.
    pub(crate) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), Error> {
        let file = self.folder.join("refs").join(revision);
        if revision == commit || fs::read_to_string(&file).is_ok_and(|known| known == commit) {
            return Ok(());
        }
        write_whole(&file, commit.as_bytes())
    }

    /// Makes a blob the file of a snapshot.
    pub(crate) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<(), Error> {
        let place = self.snapshot(commit).join(file);
        create_folder_of(&place)?;
        // As seen from the folder of the file.
        let to = format!("{}blobs/{etag}", "../".repeat(2 + file.matches('/').count()));
        // What a killed process leaves is not to lie in the snapshot.
        let fresh = unique(&self.folder.join("tailor").join("link"));
        create_folder_of(&fresh)?;
        let made = make_link(to.as_ref(), &self.blob(etag), &fresh).and_then(|()| fs::rename(&fresh, &place));
        made.inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(Error::write(place))
    }
}

/// A link to a blob; where the system has none, a copy.
fn make_link(to: &Path, blob: &Path, place: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(to, place);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(to, place);
    linked.or_else(|_| fs::hard_link(blob, place)).or_else(|_| fs::copy(blob, place).map(drop))
}

/// Writes a file that appears when it is whole.
pub(crate) fn write_whole(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_folder_of(file)?;
    let fresh = unique(file);
    let written = fs::File::create_new(&fresh)
        .and_then(|mut fresh| fresh.write_all(bytes).and_then(|()| fresh.sync_all()))
        .and_then(|()| fs::rename(&fresh, file));
    written.inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(Error::write(file))
}

/// The folder that a file is to lie in.
pub(crate) fn create_folder_of(file: &Path) -> Result<(), Error> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(Error::write(folder))
}

/// A name beside a file that no other process or thread takes.
pub(crate) fn unique(file: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    file.with_file_name(format!(".{name}.{}-{time:08x}-{count}.tmp", std::process::id()))
}
