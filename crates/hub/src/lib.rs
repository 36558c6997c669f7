//! Models and data sets of the Hugging Face Hub: found in its local cache, and downloaded into it.
//!
//! A [`Repo`] is what a user writes, `org/name@revision`. A [`Hub`] says where the local cache lies, and whether what
//! is not in it may be downloaded ([`Download`]). The cache is that of the Python package `huggingface_hub`, which
//! finds what we have downloaded, and we what it has.
//! ```
//! use tailor_hub::{Hub, Repo};
//!
//! let repo = Repo::model("org/name@v1.0")?;
//! let hub = Hub { cache: std::env::temp_dir().join("an-empty-cache"), ..Hub::default() };
//! assert_eq!((repo.id(), repo.revision()), ("org/name", "v1.0"));
//! assert!(hub.snapshot(&repo).is_none(), "nothing is here, and nothing is downloaded unasked");
//! # Ok::<(), tailor_hub::Error>(())
//! ```
//!
//! # Why not the crate `hf-hub`
//! `hf-hub` 1.0.0 was read before this was written. It needs tokio, reqwest, hyper and `hf-xet` with its own store: 141
//! crates that Tailor does not have, aws-lc and a build by cmake among them, where `ureq` is used already. It begins a
//! file anew after each break (`File::create` on the `.incomplete` file), checks no hash, and its folders of snapshots
//! say nothing about files that are missing. So the four requests that are needed are made here.
//!
//! # How a download goes
//! 1. The hub is asked for the revision's commit and files ([`Listing`]), which is written down beside the snapshot.
//! 2. Each file goes into `blobs/ETAG.incomplete`, under a lock that `huggingface_hub` honours too, in parallel with
//!    others. After a break it goes on where it ended (`Range`), in this process or a later one.
//! 3. A whole file is compared with its hash, which is its `ETAG` (SHA-256, or git's SHA-1 for small files), brought to
//!    disk and renamed. So a file of a final name is whole, whenever the program is killed.
//! 4. Links in `snapshots/COMMIT` and the branch in `refs` come last.
//!
//! Whether a snapshot is whole is told by the list and, for models, by the index of the weights: then nothing is asked.

mod cache;
mod error;
mod hub;
mod listing;
mod model;
mod name;

#[cfg(feature = "download")]
mod client;
#[cfg(feature = "download")]
mod download;
#[cfg(feature = "download")]
mod partial;
#[cfg(feature = "download")]
mod writing;

#[cfg(feature = "http")]
pub mod http;

pub use cache::RepoFolder;
pub use error::Error;
pub use hub::{Download, Event, FoundModel, Hub, Progress, header_file, pickles_not_here};
pub use listing::{FileInfo, Listing};
pub use model::{CONFIG, Weights};
pub use name::{Repo, RepoKind};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
