//! What can go wrong between here and the hub.

use std::io;
use std::path::PathBuf;

use crate::http;

/// Why a data set could not be downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The hub could not be reached, or fell silent.
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
    },
    /// The answer is not the hub's.
    #[error(
        "{url}: the answer is not the list of a data set's files: {source}; is `HF_ENDPOINT` the address of a hub?"
    )]
    NotTheHub {
        /// The address asked.
        url: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file would lie outside the cache.
    #[error("{url}: `{name}` is no name of a file within a data set")]
    BadName {
        /// The address asked.
        url: String,
        /// The name.
        name: String,
    },
    /// The data set has no files of the split where they are looked for.
    #[error(
        "{url} has no files of the split `{split}` in {}; it has {}. Is `dataset_name` right? Files of other names \
         can be put into the data folder by hand", shortened(.folders), shortened(.listed)
    )]
    NoSplit {
        /// The data set's page.
        url: String,
        /// The split.
        split: String,
        /// Where its files may be.
        folders: Vec<String>,
        /// The files there are.
        listed: Vec<String>,
    },
    /// A file cannot be written.
    #[error("{path}: cannot be written: {source}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DownloadError {
    /// Whether the same request may well succeed a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { source, .. } => http::connection_may_pass(source),
            Self::Status { status, .. } => http::status_may_pass(*status),
            Self::CutOff { .. } => true,
            _ => false,
        }
    }
}

/// What may help against a refusal.
fn what_to_do(status: u16) -> &'static str {
    match status {
        401 | 403 => "; if the data set is gated or private, accept its terms on its page and set `HF_TOKEN`",
        404 => "; is `dataset_path` right?",
        429 => "; `HF_TOKEN` allows more requests",
        _ => "",
    }
}

/// The first names of a list, and how many more there are.
fn shortened(names: &[String]) -> String {
    const MANY: usize = 12;
    let shown = |name: &String| if name.is_empty() { "its folder itself".to_owned() } else { format!("`{name}`") };
    let mut list: Vec<String> = names.iter().take(MANY).map(shown).collect();
    if names.len() > MANY {
        list.push(format!("{} more", names.len() - MANY));
    }
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
