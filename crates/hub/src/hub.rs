//! Where the cache lies, and what may be downloaded into it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Listing, Repo, RepoFolder, Weights, model};

/// The hub itself.
const HUB: &str = "https://huggingface.co";

/// A local cache, and whether what is not in it is downloaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Hub {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Where from what is not there is downloaded; nowhere, if `None`.
    pub download: Option<Download>,
    /// Whether of models that are not here names and shapes are enough: no weights are downloaded then, and
    /// [`Hub::complete`] does nothing.
    pub headers_only: bool,
}

/// The cache of the environment, and no downloads.
impl Default for Hub {
    fn default() -> Self {
        Self { cache: Self::standard_cache(), download: None, headers_only: false }
    }
}

/// Where models and data sets are downloaded from.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Download {
    /// The address of the hub or of a mirror.
    pub endpoint: String,
    /// Sent as `Authorization: Bearer TOKEN` to the endpoint, and to no other server. Neither written nor shown by
    /// `Debug`.
    #[serde(skip)]
    pub token: Option<String>,
    /// Whether the environment forbids requests (`HF_HUB_OFFLINE`): what is needed and not here is an error.
    #[serde(default)]
    pub offline: bool,
    /// Is told how far a download is.
    #[serde(skip)]
    pub progress: Progress,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "...");
        let mut fields = f.debug_struct("Download");
        fields.field("endpoint", &self.endpoint).field("token", &token).field("offline", &self.offline).finish()
    }
}

impl Download {
    /// From a hub at an address, with a token or without.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, token: Option<String>) -> Self {
        Self { endpoint: endpoint.into(), token, offline: false, progress: Progress::default() }
    }

    /// What the hub's own tools would use: `HF_ENDPOINT`, or the hub itself; `HF_TOKEN`, or the token that
    /// `hf auth login` has kept (`HF_TOKEN_PATH`, or `token` in `HF_HOME`); `HF_HUB_OFFLINE`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::of(&|name| std::env::var(name).ok())
    }

    /// As [`Self::from_environment`], with the environment given.
    fn of(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let variable = |name| environment(name).filter(|value| !value.trim().is_empty());
        let file = || {
            let file = variable("HF_TOKEN_PATH").map(|path| expanded(&path, environment));
            std::fs::read_to_string(file.unwrap_or_else(|| home(environment).join("token"))).ok()
        };
        let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN")).or_else(file);
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let on = |value: String| ["1", "on", "yes", "true"].contains(&value.trim().to_lowercase().as_str());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        Self { offline: variable("HF_HUB_OFFLINE").is_some_and(on), ..Self::new(endpoint, token) }
    }
}

/// What happens while something is downloaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Files of a repository are to come.
    Started {
        /// The repository.
        repo: &'a Repo,
        /// How many files.
        files: usize,
        /// Their bytes, as far as the hub has said.
        bytes: u64,
    },
    /// So many bytes of them are here.
    Bytes(u64),
    /// Another process is downloading a file; its end is waited for.
    Waiting {
        /// The file.
        file: &'a str,
    },
    /// A request has failed, and is made again after a while.
    Retrying {
        /// Why.
        error: &'a Error,
        /// The while.
        wait: Duration,
    },
    /// All of the files are here, or one has failed.
    Finished,
}

/// Is told the events of a download, from several threads; says nothing by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

/// What is told the events.
type Listener = dyn Fn(Event<'_>) + Send + Sync;

impl Progress {
    /// Tells the events to a function.
    pub fn new(listener: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells one event.
    #[cfg(feature = "download")]
    pub(crate) fn tell(&self, event: Event<'_>) {
        if let Some(listener) = &self.0 {
            listener(event);
        }
    }
}

/// Two of them are equal if they tell the same function.
impl PartialEq for Progress {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(..)" } else { "Progress(None)" })
    }
}

/// A model in the cache; perhaps without its weights yet.
#[derive(Debug)]
pub struct FoundModel {
    /// The folder of its files.
    pub folder: PathBuf,
    /// What is to be downloaded by [`Hub::complete`].
    pub(crate) pending: Option<Pending>,
}

/// Weights that are not here.
#[derive(Debug)]
#[cfg_attr(not(feature = "download"), expect(dead_code, reason = "nothing is pending then"))]
pub(crate) struct Pending {
    pub repo: Repo,
    pub listing: Listing,
    pub weights: Weights,
}

impl FoundModel {
    /// Whether all of it is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.pending.is_none()
    }

    /// Whether names and shapes of all tensors are here.
    #[must_use]
    pub fn has_outline(&self) -> bool {
        self.pending.as_ref().is_none_or(|pending| pending.weights.are_safetensors())
    }
}

impl Hub {
    /// The cache of the environment; with `download`, what is not there is downloaded as [`Download::from_environment`]
    /// says.
    #[must_use]
    pub fn from_environment(download: bool) -> Self {
        Self { download: download.then(Download::from_environment), ..Self::default() }
    }

    /// Where the hub's own tools keep what they have downloaded: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or
    /// `~/.cache/huggingface/hub`.
    #[must_use]
    pub fn standard_cache() -> PathBuf {
        cache_of(&|name| std::env::var(name).ok())
    }

    /// The folder of a repository.
    #[must_use]
    pub fn folder(&self, repo: &Repo) -> RepoFolder {
        RepoFolder::new(&self.cache, repo)
    }

    /// The folder of a repository's files at its revision, if there is one: all of them or some.
    #[must_use]
    pub fn snapshot(&self, repo: &Repo) -> Option<PathBuf> {
        let folder = self.folder(repo);
        folder.commit(repo.revision()).map(|commit| folder.snapshot(&commit)).filter(|snapshot| snapshot.is_dir())
    }

    /// A model: from the cache if it is whole there; else settings, tokenizer, and the names and shapes of its weights
    /// are downloaded, and [`Hub::complete`] downloads the rest. Of a model that is whole nothing is asked, so a branch
    /// stays at the commit that it was downloaded at.
    ///
    /// # Errors
    /// [`Error::NotHere`], [`Error::Incomplete`], [`Error::Offline`] and [`Error::NotBuilt`] where nothing may or can
    /// be downloaded; the others for a hub that cannot be reached, refuses or answers something else, and for a disk
    /// that cannot be read or written.
    pub fn model(&self, repo: &Repo) -> Result<FoundModel, Error> {
        let folder = self.folder(repo);
        let mut incomplete = None;
        if let Some((commit, snapshot)) = folder.commit(repo.revision()).zip(self.snapshot(repo)) {
            let listing = folder.listing(&commit);
            let missing = model::missing_weights(&snapshot, listing.as_ref())?;
            let online = self.download.as_ref().is_some_and(|download| !download.offline);
            if missing.is_none() && (!online || model::has_small_files(&snapshot, listing.as_ref())) {
                return Ok(FoundModel { folder: snapshot, pending: None });
            }
            incomplete = missing.map(|missing| (snapshot, missing));
        }
        let name = Box::new(repo.clone());
        match (&self.download, incomplete) {
            (Some(download), _) if download.offline => Err(Error::Offline { repo: name }),
            (Some(_), _) => self.outline(repo),
            (None, Some((folder, missing))) => Err(Error::Incomplete { repo: name, folder, missing }),
            (None, None) => Err(Error::NotHere { repo: name, cache: self.cache.clone() }),
        }
    }
}

#[cfg(not(feature = "download"))]
impl Hub {
    fn outline(&self, repo: &Repo) -> Result<FoundModel, Error> {
        Err(Error::NotBuilt { repo: Box::new(repo.clone()) })
    }

    /// Downloads the weights of a model that was found without them.
    ///
    /// # Errors
    /// Never, without the feature `download`: no model is found without its weights.
    pub fn complete(&self, _: &FoundModel) -> Result<(), Error> {
        Ok(())
    }
}

/// The header of a safetensors file whose numbers are not here, from [`Hub::model`]; `snapshot` is the folder of the
/// model's files. It may not be there.
#[must_use]
pub fn header_file(snapshot: &Path, file: &str) -> Option<PathBuf> {
    RepoFolder::headers_of(snapshot).map(|headers| headers.join(file))
}

/// Of a model whose weights are pickles that are not here, found by [`Hub::model`]: the name of their index, or of the
/// only one. `snapshot` is the folder of the model's files.
#[must_use]
pub fn pickles_not_here(snapshot: &Path) -> Option<&'static str> {
    let listing = RepoFolder::listing_of(snapshot)?;
    let missing = model::missing_weights(snapshot, Some(&listing)).ok()?;
    model::pickles(&listing).filter(|_| missing.is_some())
}

/// The folder of all that the hub's tools keep.
fn home(environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let cache = || variable("XDG_CACHE_HOME").unwrap_or_else(|| "~/.cache".to_owned());
    let home = variable("HF_HOME").unwrap_or_else(|| format!("{}/huggingface", cache()));
    expanded(&home, environment)
}

/// The folder of the cache.
fn cache_of(environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let named = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
    named.map_or_else(|| home(environment).join("hub"), |named| expanded(&named, environment))
}

/// A path that may begin in the user's own folder.
fn expanded(path: &str, environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let own = || environment("HOME").or_else(|| environment("USERPROFILE"));
    match path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\'])).zip(own()) {
        Some((rest, own)) => PathBuf::from(format!("{own}{rest}")),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_cache_lies_where_the_hubs_own_tools_have_it() {
        for (pairs, cache) in [
            (&[("HOME", "/home/me")][..], "/home/me/.cache/huggingface/hub"),
            (&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/xdg")], "/xdg/huggingface/hub"),
            (&[("HOME", "/home/me"), ("HF_HOME", "~/hf")], "/home/me/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/hub")], "/hub"),
            (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "")], "/hf/hub"),
        ] {
            assert_eq!(cache_of(&environment(pairs)), PathBuf::from(cache), "{pairs:?}");
        }
    }

    #[test]
    fn the_token_comes_from_the_environment_or_the_file() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join("token"), "of-the-file\n")?;
        let path = home.path().display().to_string();
        let download = Download::of(&environment(&[("HF_HOME", &path)]));
        assert_eq!((download.endpoint.as_str(), download.token.as_deref()), (HUB, Some("of-the-file")));
        let pairs = [("HF_HOME", path.as_str()), ("HF_TOKEN", "said"), ("HF_HUB_OFFLINE", "1")];
        let download = Download::of(&environment(&pairs));
        assert_eq!((download.token.as_deref(), download.offline), (Some("said"), true));
        assert!(!format!("{download:?}").contains("said"));
        assert!(!Download::of(&environment(&[("HF_HUB_OFFLINE", "0")])).offline);
        Ok(())
    }
}
