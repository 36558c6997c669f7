//! The files of a repository at a commit: what the hub says, and what is written down of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::is_whole;
use crate::name::stays_inside;

/// The version of the form in which `huggingface_hub` 2 writes a list down, and we do.
const FORMAT: u32 = 1;

/// The files of a repository at a commit. Neither ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The commit, the name of the snapshot's folder.
    pub commit: String,
    /// The files by their paths in the repository.
    pub files: BTreeMap<String, FileInfo>,
}

/// What is known of a file without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Git's SHA-1 of it, or of the pointer that stands for a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_id: Option<String>,
    /// The SHA-256 of a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs_sha256: Option<String>,
    /// The bytes of a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs_size: Option<u64>,
}

impl FileInfo {
    /// The name of its blob in the cache.
    #[cfg(feature = "download")]
    pub(crate) fn etag(&self) -> Option<&str> {
        self.lfs_sha256.as_deref().or(self.blob_id.as_deref())
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.lfs_size.or(self.size)
    }
}

/// A list as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    format_version: u32,
    files: BTreeMap<String, FileInfo>,
}

impl Listing {
    /// Whether one of the files is in a folder, as long as it should be.
    #[must_use]
    pub fn is_here(&self, folder: &Path, file: &str) -> bool {
        is_whole(&folder.join(file), self.files.get(file).and_then(FileInfo::bytes))
    }

    /// A list that was written down by us or by `huggingface_hub`; none where it is of another form, or names files
    /// outside of the repository.
    pub(crate) fn read(file: &Path, commit: &str) -> Option<Self> {
        let Written { format_version, files } = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let known = format_version == FORMAT && files.keys().all(|name| stays_inside(name));
        known.then(|| Self { commit: commit.to_owned(), files })
    }
}

#[cfg(feature = "download")]
pub(crate) use answer::Answer;

/// What the hub answers, and how it is written down.
#[cfg(feature = "download")]
mod answer {
    use std::path::Path;

    use serde::Deserialize;

    use super::{FORMAT, FileInfo, Listing, Written, stays_inside};
    use crate::Error;
    use crate::writing::write_whole;

    /// A repository at a revision (`api/models/ID/revision/REVISION?blobs=true`).
    #[derive(Deserialize)]
    pub(crate) struct Answer {
        sha: String,
        #[serde(default)]
        siblings: Vec<Sibling>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sibling {
        rfilename: String,
        size: Option<u64>,
        blob_id: Option<String>,
        lfs: Option<Large>,
    }

    #[derive(Deserialize)]
    struct Large {
        sha256: Option<String>,
        size: Option<u64>,
    }

    impl Answer {
        /// The list, if its names stay in the cache.
        pub fn listing(self, url: &str) -> Result<Listing, Error> {
            let names = self.siblings.iter().map(|file| &file.rfilename);
            let commit = Some(&self.sha).filter(|commit| !stays_inside(commit) || commit.contains('/'));
            if let Some(name) = names.filter(|name| !stays_inside(name)).chain(commit).next() {
                return Err(Error::BadFileName { name: name.clone(), url: url.to_owned() });
            }
            let info = |Sibling { rfilename, size, blob_id, lfs }| {
                let Large { sha256: lfs_sha256, size: lfs_size } = lfs.unwrap_or(Large { sha256: None, size: None });
                (rfilename, FileInfo { size, blob_id, lfs_sha256, lfs_size })
            };
            Ok(Listing { commit: self.sha, files: self.siblings.into_iter().map(info).collect() })
        }
    }

    impl Listing {
        /// Writes it down.
        pub(crate) fn write(&self, file: &Path) -> Result<(), Error> {
            let written = Written { format_version: FORMAT, files: self.files.clone() };
            let bytes = serde_json::to_vec(&written).map_err(|source| Error::Json { file: file.to_owned(), source })?;
            write_whole(file, &bytes)
        }
    }
}
