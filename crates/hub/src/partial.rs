//! A file that is being downloaded: its beginning in `blobs/ETAG.incomplete`, and how it gets its name.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha1::Digest;

use crate::cache::is_whole;
use crate::writing::{create_folder_of, unique};
use crate::{Error, RepoFolder};

/// What a file's content is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    /// That of the bytes.
    Sha256,
    /// Git's: that of a line with the length, and the bytes.
    GitSha1,
}

/// The hash that an ETag is; none where it is something of the server's own.
fn hash_of(etag: &str) -> Option<Hash> {
    let hexadecimal = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    match etag.len() {
        64 if hexadecimal => Some(Hash::Sha256),
        40 if hexadecimal => Some(Hash::GitSha1),
        _ => None,
    }
}

/// The beginning of a file. Nobody else writes it while this is open.
#[derive(Debug)]
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    /// Its bytes so far.
    length: u64,
    /// Whether what has come stays when it is not finished, for a later process to go on with.
    kept: bool,
    /// Whether it has its name.
    finished: bool,
    etag: String,
    blob: PathBuf,
    /// Its lock ends with it.
    _lock: Option<File>,
}

impl Partial {
    /// Opens the beginning of a blob, or begins one, under its lock; `None` if the blob is whole meanwhile. `waiting`
    /// is called if another process has the lock.
    pub fn open(
        folder: &RepoFolder,
        etag: &str,
        size: Option<u64>,
        waiting: impl FnOnce(),
    ) -> Result<Option<Self>, Error> {
        let blob = folder.blob(etag);
        create_folder_of(&blob)?;
        let lock = lock(&folder.lock(etag), waiting)?;
        if is_whole(&blob, size) {
            return Ok(None);
        }
        // What cannot be checked at its end is not gone on with, and what is not locked is nobody else's.
        let kept = lock.is_some() && hash_of(etag).is_some();
        let path = if kept { blob.with_file_name(format!("{etag}.incomplete")) } else { unique(&blob) };
        let mut options = File::options();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(Error::write(&path))?;
        let length = file.metadata().map_err(Error::read(&path))?.len();
        let mut partial = Self { file, path, length, kept, finished: false, etag: etag.to_owned(), blob, _lock: lock };
        if size.is_some_and(|size| size < length) {
            partial.restart()?;
        }
        Ok(Some(partial))
    }

    /// How many bytes are here.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Puts bytes behind those that are here.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let at = SeekFrom::Start(self.length);
        let written = self.file.seek(at).and_then(|_| self.file.write_all(bytes));
        written.map_err(Error::write(&self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets all bytes.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.length = 0;
        self.file.set_len(0).map_err(Error::write(&self.path))
    }

    /// Gives the file its name, if its content is what the hub says. Otherwise nothing of it is kept.
    pub fn finish(&mut self, url: &str) -> Result<(), Error> {
        if let Some(hash) = hash_of(&self.etag) {
            let found = self.hash(hash).map_err(Error::read(&self.path))?;
            if !found.eq_ignore_ascii_case(&self.etag) {
                self.restart()?;
                let (url, expected) = (url.to_owned(), self.etag.clone());
                return Err(Error::WrongHash { url, found, expected });
            }
        }
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.blob));
        named.map_err(Error::write(&self.blob))?;
        self.finished = true;
        Ok(())
    }

    /// The hash of all bytes in the file.
    fn hash(&mut self, hash: Hash) -> io::Result<String> {
        self.file.seek(SeekFrom::Start(0))?;
        match hash {
            Hash::Sha256 => hashed(sha2::Sha256::new(), &mut self.file),
            Hash::GitSha1 => hashed(sha1::Sha1::new().chain_update(format!("blob {}\0", self.length)), &mut self.file),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished && (!self.kept || self.length == 0) {
            // What stays has a name that nobody looks for.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The hash of what a reader gives, as digits.
fn hashed(mut hash: impl Digest, reader: &mut impl Read) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Takes a lock, and waits for it if need be; none where the file system knows no locks.
fn lock(path: &Path, waiting: impl FnOnce()) -> Result<Option<File>, Error> {
    create_folder_of(path)?;
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(Error::write(path))?;
    match file.try_lock() {
        Ok(()) => return Ok(Some(file)),
        Err(TryLockError::Error(_)) => return Ok(None),
        Err(TryLockError::WouldBlock) => waiting(),
    }
    Ok(file.lock().is_ok().then_some(file))
}
