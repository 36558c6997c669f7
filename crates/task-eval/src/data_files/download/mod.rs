//! Data sets of the hub that are not on this machine, into the hub's own cache.
//!
//! Two kinds of requests: the list of a data set's files at a revision (`api/datasets/...`), and each file of the
//! split. Files get their names only when all of them are complete, so that an interrupted download leaves nothing that
//! looks like a split. They lie as the hub's own tools lay them, but without `blobs`: a file is itself in `snapshots`.

mod error;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tempfile::NamedTempFile;

use super::hub::{REVISIONS, Split};
use crate::http::{self, Retries};
use crate::options::Download;
pub use error::DownloadError;

/// Until a server begins to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a request is tried again that may succeed a little later.
const RETRIES: Retries = Retries { count: 3, wait: Duration::from_millis(500) };
/// The list of the files of a data set stays far below.
const LARGEST_LIST: u64 = 1 << 28;

impl Download {
    /// Downloads a split into the data set's folder of the cache; the paths of its files.
    ///
    /// # Errors
    /// [`DownloadError::NoSplit`] for a data set without files of the split; the others for a hub that cannot be
    /// reached, refuses or answers something else, and for a disk that cannot be written.
    pub(super) fn fetch(&self, split: &Split<'_>, cache: &Path) -> Result<Vec<PathBuf>, DownloadError> {
        let client = Client::new(self);
        let mut listed = Vec::new();
        for revision in REVISIONS {
            let Some(listing) = client.listing(split.path, revision)? else { continue };
            let folders = listing.folders();
            let in_folder = |folder: &str| Ok(folders.get(folder).cloned().unwrap_or_default());
            let files = split.find(in_folder)?;
            if !files.is_empty() {
                return client.download(split.path, &files, revision, &listing.sha, cache);
            }
            listed.extend(listing.siblings.into_iter().map(|file| file.rfilename));
        }
        Err(DownloadError::NoSplit {
            url: format!("{}/datasets/{}", client.endpoint, split.path),
            split: split.split.to_owned(),
            folders: split.parts().into_iter().map(str::to_owned).collect(),
            listed,
        })
    }
}

/// What the hub says of a revision of a data set.
#[derive(Debug, Deserialize)]
struct Listing {
    /// The revision's hash, the name of its folder in the cache.
    sha: String,
    /// All of its files.
    siblings: Vec<Sibling>,
}

/// A file of a data set.
#[derive(Debug, Deserialize)]
struct Sibling {
    /// Its path in the data set.
    rfilename: String,
}

impl Listing {
    /// A name that is to be a path in the cache, and would lead out of it.
    fn outside(&self) -> Option<&str> {
        let mut names = self.siblings.iter().map(|file| file.rfilename.as_str()).chain([self.sha.as_str()]);
        names.find(|name| name.split(['/', '\\']).any(|part| ["", ".", ".."].contains(&part)))
    }

    /// The names of the files of each folder.
    fn folders(&self) -> HashMap<&str, Vec<String>> {
        let mut folders: HashMap<&str, Vec<String>> = HashMap::new();
        for file in &self.siblings {
            let (folder, name) = file.rfilename.rsplit_once('/').unwrap_or(("", &file.rfilename));
            folders.entry(folder).or_default().push(name.to_owned());
        }
        folders
    }
}

/// A connection to the hub.
struct Client<'a> {
    agent: ureq::Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
}

impl<'a> Client<'a> {
    fn new(hub: &'a Download) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            // The hub's own words are in the body.
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), endpoint: hub.endpoint.trim_end_matches('/'), token: hub.token.as_deref() }
    }

    /// The files of a revision; none where there is no such revision.
    fn listing(&self, path: &str, revision: &str) -> Result<Option<Listing>, DownloadError> {
        let url = format!("{}/api/datasets/{path}/revision/{}", self.endpoint, revision.replace('/', "%2F"));
        let read = |mut body: ureq::Body| {
            body.with_config().limit(LARGEST_LIST).read_to_vec().map_err(|source| unreachable(&url, source))
        };
        let bytes = match self.get(&url, read) {
            // That of the hub's making is not always there.
            Err(DownloadError::Status { status: 404, .. }) if revision != REVISIONS[0] => return Ok(None),
            bytes => bytes?,
        };
        let listing = serde_json::from_slice::<Listing>(&bytes);
        let listing = listing.map_err(|source| DownloadError::NotTheHub { url: url.clone(), source })?;
        match listing.outside() {
            Some(name) => Err(DownloadError::BadName { name: name.to_owned(), url }),
            None => Ok(Some(listing)),
        }
    }

    /// Files of a revision, into its folder in the cache: all of them, or none.
    fn download(
        &self,
        path: &str,
        files: &[String],
        revision: &str,
        sha: &str,
        cache: &Path,
    ) -> Result<Vec<PathBuf>, DownloadError> {
        let folder = cache.join("snapshots").join(sha);
        let places: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        let mut incomplete = Vec::with_capacity(files.len());
        for (file, place) in files.iter().zip(&places) {
            let url = format!("{}/datasets/{path}/resolve/{sha}/{}", self.endpoint, quoted(file));
            incomplete.push(self.save(&url, place)?);
        }
        // Of a split in several files a part alone would look like the whole.
        for (incomplete, place) in incomplete.into_iter().zip(&places) {
            incomplete.persist(place).map_err(|error| written(place, error.error))?;
        }
        let known = cache.join("refs").join(revision);
        let mut incomplete = beside(&known)?;
        incomplete.write_all(sha.as_bytes()).map_err(|source| written(&known, source))?;
        incomplete.persist(&known).map_err(|error| written(&known, error.error))?;
        Ok(places)
    }

    /// A file beside its place, without its name yet.
    fn save(&self, url: &str, place: &Path) -> Result<NamedTempFile, DownloadError> {
        self.get(url, |body| {
            let mut file = beside(place)?;
            let whole = body.content_length();
            let got = copy(body, file.as_file_mut(), url, place)?;
            match whole.filter(|whole| *whole != got) {
                Some(whole) => Err(DownloadError::CutOff { url: url.to_owned(), got, whole }),
                None => Ok(file),
            }
        })
    }

    /// What the hub answers, read; asked again while that may help.
    fn get<T>(&self, url: &str, read: impl Fn(ureq::Body) -> Result<T, DownloadError>) -> Result<T, DownloadError> {
        let send = || {
            let request = http::authorized(self.agent.get(url), self.token);
            let response = request.call().map_err(|source| unreachable(url, source))?;
            let status = response.status();
            let mut body = response.into_body();
            if status.is_success() {
                return read(body);
            }
            let words = body.read_to_vec().map_err(|source| unreachable(url, source))?;
            let message = http::message(&words);
            Err(DownloadError::Status { url: url.to_owned(), status: status.as_u16(), message })
        };
        RETRIES.until_answered(send, DownloadError::may_pass)
    }
}

/// The error of a hub that cannot be reached.
fn unreachable(url: &str, source: ureq::Error) -> DownloadError {
    DownloadError::Connection { url: url.to_owned(), source: Box::new(source) }
}

/// The error of a file that cannot be written.
fn written(path: &Path, source: io::Error) -> DownloadError {
    DownloadError::Write { path: path.to_owned(), source }
}

/// A file in the folder of a place, which others may read as well, if the user's files are so.
fn beside(place: &Path) -> Result<NamedTempFile, DownloadError> {
    let folder = place.parent().unwrap_or(place);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    fs::create_dir_all(folder).and_then(|()| builder.tempfile_in(folder)).map_err(|source| written(folder, source))
}

/// Copies what comes into a file; the number of bytes. Which of the two failed, an error says.
fn copy(body: ureq::Body, file: &mut File, url: &str, place: &Path) -> Result<u64, DownloadError> {
    let (mut reader, mut buffer, mut bytes) = (body.into_reader(), vec![0; 1 << 16], 0);
    loop {
        let got = reader.read(&mut buffer).map_err(|source| unreachable(url, source.into()))?;
        if got == 0 {
            return Ok(bytes);
        }
        file.write_all(&buffer[..got]).map_err(|source| written(place, source))?;
        bytes += got as u64;
    }
}

/// A path within an address.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
