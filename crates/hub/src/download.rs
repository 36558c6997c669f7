//! What is not here, downloaded: the small files of a model with the headers of its weights, its weights, the files of
//! a data set.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cache::is_whole;
use crate::client::{Client, RETRIES, unreachable};
use crate::hub::{FoundModel, Pending};
use crate::partial::Partial;
use crate::writing::write_whole;
use crate::{Download, Error, Event, FileInfo, Hub, Listing, Repo, RepoFolder, model};

/// Files that are downloaded at once.
const CONNECTIONS: usize = 4;
/// Bytes that are read and written at once.
const PIECE: usize = 1 << 18;

impl Hub {
    /// Asks the hub which files a repository has at its revision. Of a commit that was asked for before, nothing is
    /// asked.
    ///
    /// # Errors
    /// [`Error::NotHere`] without [`Hub::download`], [`Error::Offline`]; those of a hub that cannot be reached, refuses
    /// or answers something else.
    pub fn listing(&self, repo: &Repo) -> Result<Listing, Error> {
        let folder = self.folder(repo);
        let known = folder.commit(repo.revision()).filter(|commit| commit == repo.revision());
        if let Some(listing) = known.and_then(|commit| folder.listing(&commit)) {
            return Ok(listing);
        }
        Client::new(self.source(repo)?).listing(repo)
    }

    /// Brings files of a repository into its snapshot; the snapshot's folder. Whole files that are there are not asked
    /// for. All of them are linked there together, after the last one is whole.
    ///
    /// # Errors
    /// [`Error::NotHere`] without [`Hub::download`], [`Error::Offline`]; [`Error::NoFile`] for a file that the list
    /// does not have; [`Error::WrongHash`] and [`Error::WrongSize`] for content that is not what the hub says; those of
    /// a hub that cannot be reached or refuses, and of a disk that cannot be written. What has come of a file is kept
    /// for the next try.
    pub fn fetch(&self, repo: &Repo, listing: &Listing, files: &[String]) -> Result<PathBuf, Error> {
        let snapshot = self.fetch_unnamed(repo, listing, files)?;
        self.folder(repo).set_commit(repo.revision(), &listing.commit)?;
        Ok(snapshot)
    }

    /// As [`Hub::fetch`]; the revision stays at the commit at which it was.
    fn fetch_unnamed(&self, repo: &Repo, listing: &Listing, files: &[String]) -> Result<PathBuf, Error> {
        let transfer = Transfer::new(self, repo, listing)?;
        listing.write(&transfer.folder.listing_file(&listing.commit))?;
        let snapshot = transfer.folder.snapshot(&listing.commit);
        let mut missing = transfer.missing(files)?;
        if !missing.is_empty() {
            transfer.ask_for_etags(&mut missing)?;
            transfer.blobs(&missing)?;
        }
        for (name, info) in &missing {
            transfer.folder.link(&listing.commit, name, transfer.etag(name, info)?)?;
        }
        Ok(snapshot)
    }

    /// Downloads what is needed to know a model's settings, and the names and shapes of its tensors.
    pub(crate) fn outline(&self, repo: &Repo) -> Result<FoundModel, Error> {
        let listing = self.listing(repo)?;
        let page = Client::new(self.source(repo)?).page(repo);
        let small = model::small_files(&listing);
        if !listing.files.contains_key(model::CONFIG) {
            return Err(Error::NoFile { url: page, name: model::CONFIG.to_owned() });
        }
        let folder = self.fetch_unnamed(repo, &listing, &small)?;
        let weights = model::weights(&listing, &folder, &page)?;
        if weights.are_safetensors() {
            Transfer::new(self, repo, &listing)?.headers(&weights.files)?;
        }
        Ok(FoundModel { folder, pending: Some(Pending { repo: repo.clone(), listing, weights }) })
    }

    /// Downloads the weights of a model that was found without them; nothing with [`Hub::headers_only`].
    ///
    /// # Errors
    /// As of [`Hub::fetch`].
    pub fn complete(&self, model: &FoundModel) -> Result<(), Error> {
        let Some(Pending { repo, listing, weights }) = model.pending.as_ref().filter(|_| !self.headers_only) else {
            return Ok(());
        };
        self.fetch(repo, listing, &weights.files).map(drop)
    }

    /// Where from a repository may be downloaded.
    fn source(&self, repo: &Repo) -> Result<&Download, Error> {
        match &self.download {
            None => Err(Error::NotHere { repo: Box::new(repo.clone()), cache: self.cache.clone() }),
            Some(download) if download.offline => Err(Error::Offline { repo: Box::new(repo.clone()) }),
            Some(download) => Ok(download),
        }
    }
}

/// A download of files of one commit.
struct Transfer<'a> {
    client: Client<'a>,
    download: &'a Download,
    repo: &'a Repo,
    folder: RepoFolder,
    listing: &'a Listing,
    /// Bytes that are here.
    here: AtomicU64,
    /// Whether another file has failed.
    stopped: AtomicBool,
}

/// Files that are not in the snapshot, by their names.
type Missing = BTreeMap<String, FileInfo>;

impl<'a> Transfer<'a> {
    fn new(hub: &'a Hub, repo: &'a Repo, listing: &'a Listing) -> Result<Self, Error> {
        let download = hub.source(repo)?;
        let (client, folder) = (Client::new(download), hub.folder(repo));
        let (here, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self { client, download, repo, folder, listing, here, stopped })
    }

    /// The address of a file.
    fn url(&self, name: &str) -> String {
        self.client.file(self.repo, &self.listing.commit, name)
    }

    /// Those of the files that are not in the snapshot.
    fn missing(&self, files: &[String]) -> Result<Missing, Error> {
        let snapshot = self.folder.snapshot(&self.listing.commit);
        let mut missing = Missing::new();
        for name in files {
            let no_file = || Error::NoFile { url: self.client.page(self.repo), name: name.clone() };
            let info = self.listing.files.get(name).ok_or_else(no_file)?;
            if !is_whole(&snapshot.join(name), info.bytes()) {
                missing.insert(name.clone(), info.clone());
            }
        }
        Ok(missing)
    }

    /// Asks for what the list has not said of files.
    fn ask_for_etags(&self, missing: &mut Missing) -> Result<(), Error> {
        let unknown: Vec<String> =
            missing.iter().filter(|(_, info)| info.etag().is_none()).map(|(name, _)| name.clone()).collect();
        let told = Mutex::new(Vec::new());
        self.in_parallel(&unknown, |name| {
            let info = self.client.about(&self.url(name))?;
            told.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), info));
            Ok(())
        })?;
        missing.extend(told.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// The name of a file's blob.
    fn etag<'b>(&self, name: &str, info: &'b FileInfo) -> Result<&'b str, Error> {
        let etag = info.etag().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match !etag.is_empty() && etag.bytes().all(plain) {
            true => Ok(etag),
            false => Err(Error::NoEtag { url: self.url(name) }),
        }
    }

    /// Downloads the blobs of files, several at once.
    fn blobs(&self, missing: &Missing) -> Result<(), Error> {
        let bytes = missing.values().filter_map(FileInfo::bytes).sum();
        let progress = &self.download.progress;
        progress.tell(Event::Started { repo: self.repo, files: missing.len(), bytes });
        let files: Vec<(&String, &FileInfo)> = missing.iter().collect();
        let done = self.in_parallel(&files, |(name, info)| self.blob(name, info));
        progress.tell(Event::Finished);
        done
    }

    /// Downloads one blob, if it is not whole yet.
    fn blob(&self, name: &str, info: &FileInfo) -> Result<(), Error> {
        let (etag, url, progress) = (self.etag(name, info)?, self.url(name), &self.download.progress);
        let waiting = || progress.tell(Event::Waiting { file: name });
        let Some(mut partial) = Partial::open(&self.folder, etag, info.bytes(), waiting)? else {
            self.count(0, info.bytes().unwrap_or(0));
            return Ok(());
        };
        self.count(0, partial.length());
        // What was here before may be broken, after a crash of the machine; what comes from now on is not.
        let (mut retries, mut most, mut once_more) = (RETRIES, partial.length(), true);
        loop {
            let received = self.receive(&mut partial, info.bytes(), &url);
            let length = partial.length();
            let done = received.and_then(|()| partial.finish(&url));
            self.count(length - partial.length(), 0);
            if partial.length() > most {
                // A connection that breaks is no reason to give up while bytes come.
                (most, retries) = (partial.length(), RETRIES);
            }
            match done {
                Err(Error::WrongHash { .. } | Error::WrongSize { .. }) if once_more => once_more = false,
                Err(error) if error.may_pass() => self.client.wait(error, &mut retries)?,
                done => return done,
            }
        }
    }

    /// Asks for the rest of a file, and puts it behind what is here.
    fn receive(&self, partial: &mut Partial, size: Option<u64>, url: &str) -> Result<(), Error> {
        if size == Some(partial.length()) {
            return Ok(());
        }
        let content = match self.client.content(url, partial.length(), None)? {
            Some(content) if content.start == partial.length() => content,
            other => {
                self.forget(partial)?;
                match other {
                    Some(content) if content.start == 0 => content,
                    // A server that sends another part than it was asked for.
                    _ => self.client.content(url, 0, None)?.ok_or_else(|| Error::NoEtag { url: url.to_owned() })?,
                }
            }
        };
        let promised = content.length.map(|length| content.start + length);
        let (mut reader, mut buffer) = (content.body.into_reader(), vec![0; PIECE]);
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            let got = reader.read(&mut buffer).map_err(|source| unreachable(url)(source.into()))?;
            if got == 0 {
                break;
            }
            partial.append(&buffer[..got])?;
            self.count(0, got as u64);
            if let Some(expected) = size.filter(|size| partial.length() > *size) {
                let found = partial.length();
                self.forget(partial)?;
                return Err(Error::WrongSize { url: url.to_owned(), found, expected });
            }
        }
        match size.or(promised).filter(|whole| partial.length() < *whole) {
            Some(whole) => Err(Error::CutOff { url: url.to_owned(), got: partial.length(), whole }),
            None => Ok(()),
        }
    }

    /// Begins a file anew.
    fn forget(&self, partial: &mut Partial) -> Result<(), Error> {
        self.count(partial.length(), 0);
        partial.restart()
    }

    /// Counts bytes that are here, and those that are no more.
    fn count(&self, lost: u64, got: u64) {
        let before = self.here.fetch_add(got.wrapping_sub(lost), Ordering::Relaxed);
        self.download.progress.tell(Event::Bytes(before.wrapping_add(got).wrapping_sub(lost)));
    }

    /// Downloads the headers of those files of safetensors that are not here.
    fn headers(&self, files: &[String]) -> Result<(), Error> {
        let commit = &self.listing.commit;
        let missing = self.missing(files)?;
        let files: Vec<&String> =
            missing.keys().filter(|name| !is_whole(&self.folder.header(commit, name), None)).collect();
        self.in_parallel(&files, |name| {
            write_whole(&self.folder.header(commit, name), &self.client.header(&self.url(name))?)
        })
    }

    /// Does something with each of several, a few at once; the first error ends all.
    fn in_parallel<T: Sync>(&self, items: &[T], work: impl Fn(&T) -> Result<(), Error> + Sync) -> Result<(), Error> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(items.len()) {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if self.stopped.load(Ordering::Relaxed) {
                            return;
                        }
                        if let Err(error) = work(item) {
                            // The first one counts, not that of those that are stopped by it.
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            self.stopped.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
