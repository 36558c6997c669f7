//! The hub's local cache, as the Python package `huggingface_hub` lays it out.
//!
//! ```text
//! CACHE/models--ORG--NAME/blobs/ETAG                     a whole file; ETAG.incomplete: the beginning of one
//! CACHE/models--ORG--NAME/snapshots/COMMIT/config.json   a relative link to a blob
//! CACHE/models--ORG--NAME/refs/main                      the commit of a branch or tag
//! CACHE/models--ORG--NAME/trees/COMMIT.json              which files there are, if huggingface_hub has asked
//! CACHE/models--ORG--NAME/tailor/COMMIT/listing.json     the same, if we have; the other would promise its readers
//!                                                        that all of them are to be here
//! CACHE/models--ORG--NAME/tailor/COMMIT/headers/...      the headers of safetensors whose numbers are not here
//! CACHE/.locks/models--ORG--NAME/ETAG.lock               held while a blob is written
//! ```

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::name::is_commit;
use crate::{Error, Listing, Repo};

/// The folder of a repository in the cache.
#[derive(Debug, Clone)]
pub struct RepoFolder {
    folder: PathBuf,
    #[cfg_attr(not(feature = "download"), expect(dead_code, reason = "locks are for downloads"))]
    locks: PathBuf,
}

impl RepoFolder {
    /// That of a repository. It need not be there.
    #[must_use]
    pub fn new(cache: &Path, repo: &Repo) -> Self {
        let name = repo.folder_name();
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// The commit that a revision was at when it was last downloaded.
    #[must_use]
    pub fn commit(&self, revision: &str) -> Option<String> {
        let known = fs::read_to_string(self.folder.join("refs").join(revision)).ok();
        let known = known.map(|commit| commit.trim().to_owned()).filter(|commit| is_name(commit));
        // A commit is its own name, and so is what people have put into `snapshots` by hand.
        let own = || Some(revision).filter(|own| is_commit(own) || (is_name(own) && self.snapshot(own).is_dir()));
        known.or_else(|| own().map(str::to_owned))
    }

    /// The folder of a commit's files. It need not be there.
    #[must_use]
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The folders of all commits that something is here of.
    #[must_use]
    pub fn snapshots(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("snapshots"));
        entries.map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    }

    /// Which files a commit has, if that was ever asked for.
    #[must_use]
    pub fn listing(&self, commit: &str) -> Option<Listing> {
        let theirs = self.folder.join("trees").join(format!("{commit}.json"));
        Listing::read(&self.listing_file(commit), commit).or_else(|| Listing::read(&theirs, commit))
    }

    /// Where we write a list of files down.
    pub(crate) fn listing_file(&self, commit: &str) -> PathBuf {
        self.own(commit).join("listing.json")
    }

    /// Our own folder beside a snapshot.
    fn own(&self, commit: &str) -> PathBuf {
        self.folder.join("tailor").join(commit)
    }

    /// Where headers of safetensors are kept whose numbers are not here: of a snapshot's folder, which need not be one.
    pub(crate) fn headers_of(snapshot: &Path) -> Option<PathBuf> {
        let (commit, folder) = (snapshot.file_name()?, snapshot.parent()?.parent()?);
        Some(folder.join("tailor").join(commit).join("headers"))
    }
}

#[cfg(feature = "download")]
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
#[cfg(feature = "download")]
fn make_link(to: &Path, blob: &Path, place: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(to, place);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(to, place);
    linked.or_else(|_| fs::hard_link(blob, place)).or_else(|_| fs::copy(blob, place).map(drop))
}

/// Whether a file is there, of so many bytes if that is known. A link to nothing is no file.
pub(crate) fn is_whole(file: &Path, size: Option<u64>) -> bool {
    fs::metadata(file).is_ok_and(|about| about.is_file() && size.is_none_or(|size| about.len() == size))
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

/// Whether a commit's name is one folder's.
fn is_name(commit: &str) -> bool {
    crate::name::stays_inside(commit) && !commit.contains('/')
}
