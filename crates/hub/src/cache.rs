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
use std::path::{Path, PathBuf};

use crate::name::is_commit;
use crate::{Listing, Repo};

/// The folder of a repository in the cache.
#[derive(Debug, Clone)]
pub struct RepoFolder {
    pub(crate) folder: PathBuf,
    #[cfg_attr(not(feature = "download"), expect(dead_code, reason = "locks are for downloads"))]
    pub(crate) locks: PathBuf,
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
    pub(crate) fn own(&self, commit: &str) -> PathBuf {
        self.folder.join("tailor").join(commit)
    }

    /// The list of files that we have written down for a snapshot's folder, which need not be one.
    pub(crate) fn listing_of(snapshot: &Path) -> Option<Listing> {
        let file = Self::headers_of(snapshot)?.with_file_name("listing.json");
        Listing::read(&file, snapshot.file_name()?.to_str()?)
    }

    /// Where headers of safetensors are kept whose numbers are not here: of a snapshot's folder, which need not be one.
    pub(crate) fn headers_of(snapshot: &Path) -> Option<PathBuf> {
        let (commit, folder) = (snapshot.file_name()?, snapshot.parent()?.parent()?);
        Some(folder.join("tailor").join(commit).join("headers"))
    }
}

/// Whether a file is there, of so many bytes if that is known. A link to nothing is no file.
pub(crate) fn is_whole(file: &Path, size: Option<u64>) -> bool {
    fs::metadata(file).is_ok_and(|about| about.is_file() && size.is_none_or(|size| about.len() == size))
}

/// Whether a commit's name is one folder's.
fn is_name(commit: &str) -> bool {
    crate::name::stays_inside(commit) && !commit.contains('/')
}
