//! What can go wrong between here and the hub.

use std::io;
use std::path::PathBuf;

use crate::Repo;

/// Why something of the hub is not here. No message has the token in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no repository of the hub can have.
    #[error("`{name}` is no name on the hub: `org/name`, or `org/name@revision`")]
    BadName {
        /// As written.
        name: String,
    },
    /// Nothing of a repository is in the cache, and nothing may be downloaded.
    #[error("`{repo}` is not in the hub's cache {cache}", cache = cache.display())]
    NotHere {
        /// What was looked for.
        repo: Box<Repo>,
        /// Where.
        cache: PathBuf,
    },
    /// A part of a model is in the cache, and nothing may be downloaded.
    #[error("`{repo}` is only in part in the hub's cache: {folder} lacks `{missing}`", folder = folder.display())]
    Incomplete {
        /// What was looked for.
        repo: Box<Repo>,
        /// The folder of its snapshot.
        folder: PathBuf,
        /// A file that is not there.
        missing: String,
    },
    /// A download is needed, and the environment forbids it.
    #[error("`{repo}` is not whole in the hub's cache, and `HF_HUB_OFFLINE` forbids to download it")]
    Offline {
        /// What was to be downloaded.
        repo: Box<Repo>,
    },
    /// A download is asked for of a program that cannot download.
    #[error("`{repo}` is not whole in the hub's cache, and this program was built without the feature `download`")]
    NotBuilt {
        /// What was to be downloaded.
        repo: Box<Repo>,
    },
    /// The hub could not be reached, or fell silent.
    #[cfg(feature = "download")]
    #[error("{url}: cannot be reached: {source}; is this machine online? `HF_ENDPOINT` names a mirror")]
    Connection {
        /// The address asked.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The answer ended too early.
    #[error("{url}: the connection broke after {got} of {whole} bytes")]
    CutOff {
        /// The address asked.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        whole: u64,
    },
    /// The hub refused.
    #[error("{url}: the hub answers {status}: {message}{}", what_to_do(*.status))]
    Status {
        /// The address asked.
        url: String,
        /// HTTP's number.
        status: u16,
        /// The hub's words.
        message: String,
        /// Seconds to wait before the next request, where the hub says it.
        retry_after: Option<u64>,
    },
    /// One redirect after the other, or one to nowhere.
    #[error("{url}: leads nowhere: {times} redirects")]
    Redirects {
        /// The address asked.
        url: String,
        /// How many were followed.
        times: usize,
    },
    /// The answer is not the hub's.
    #[error(
        "{url}: the answer is not the list of a repository's files: {source}; is `HF_ENDPOINT` the address of a hub?"
    )]
    NotTheHub {
        /// The address asked.
        url: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The hub does not say what a file's content is known by.
    #[error("{url}: the answer has no ETag; is `HF_ENDPOINT` the address of a hub?")]
    NoEtag {
        /// The address asked.
        url: String,
    },
    /// A file would lie outside the cache.
    #[error("{url}: `{name}` is no name of a file within a repository")]
    BadFileName {
        /// The address asked.
        url: String,
        /// The name.
        name: String,
    },
    /// A file that the repository does not have.
    #[error("{url} has no file `{name}`")]
    NoFile {
        /// The repository's page.
        url: String,
        /// The file.
        name: String,
    },
    /// A model without weights that can be read.
    #[error("{url} has no weights: neither `model.safetensors` nor `pytorch_model.bin`, nor an index of either")]
    NoWeights {
        /// The repository's page.
        url: String,
    },
    /// What came is not what the hub has.
    #[error("{url}: what came has the hash {found}, the hub says {expected}; nothing of it was kept, try again")]
    WrongHash {
        /// The address asked.
        url: String,
        /// Of the bytes that came.
        found: String,
        /// As the hub says.
        expected: String,
    },
    /// What came is longer than what the hub has.
    #[error("{url}: {found} bytes came, the hub says {expected}; nothing of them was kept, try again")]
    WrongSize {
        /// The address asked.
        url: String,
        /// How many came.
        found: u64,
        /// As the hub says.
        expected: u64,
    },
    /// The beginning of a file is not that of safetensors.
    #[error("{url}: not a safetensors file: it says that its header has {length} bytes")]
    Header {
        /// The address asked.
        url: String,
        /// Its header's length.
        length: u64,
    },
    /// A file of JSON is none.
    #[error("{file}: {source}", file = file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{file}: cannot be written: {source}", file = file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another file of the same download failed first.
    #[error("the download was stopped")]
    Stopped,
}

/// What may help against a refusal.
fn what_to_do(status: u16) -> &'static str {
    match status {
        401 | 403 => "; is the name right? If it is gated or private, accept its terms on its page and set `HF_TOKEN`",
        404 => "; are the name and the revision right?",
        429 => "; `HF_TOKEN` allows more requests",
        _ => "",
    }
}

impl Error {
    /// The error of a file that cannot be written.
    #[cfg(feature = "download")]
    pub(crate) fn write(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Write { file, source }
    }

    /// The error of a file that cannot be read.
    pub(crate) fn read(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Read { file, source }
    }
}

#[cfg(feature = "download")]
impl Error {
    /// Whether the same request may well succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { source, .. } => crate::http::connection_may_pass(source),
            Self::Status { status, .. } => crate::http::status_may_pass(*status),
            Self::CutOff { .. } => true,
            _ => false,
        }
    }

    /// How long the hub wants us to wait, in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
