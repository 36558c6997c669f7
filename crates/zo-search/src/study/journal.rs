//! The journal's file: one writer, lines added at a verified end, a torn end cut off.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::Line;
use crate::Error;

/// An open journal, locked against other writers.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last good line ends.
    end: u64,
    sync: bool,
    broken: bool,
}

/// What a journal's bytes say.
pub(super) struct Content {
    /// The good lines.
    pub(super) lines: Vec<Line>,
    /// How many bytes they take; what is behind them is torn.
    pub(super) end: usize,
}

impl Content {
    /// Reads the lines up to a torn end. A bad line with a good one behind it is damage.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let mut content = Self { lines: Vec::new(), end: 0 };
        let mut bad = None;
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let text = line.strip_suffix(b"\n");
            match (Line::unseal(text.unwrap_or(line)), bad) {
                (Some(good), None) if text.is_some() => {
                    content.lines.push(good);
                    content.end += line.len();
                }
                (Some(_), Some(bad)) => {
                    let problem = "this line is not whole, but good ones follow it";
                    return Err(Error::DamagedJournal { path: path.to_path_buf(), line: bad, problem });
                }
                _ => bad = bad.or(Some(number + 1)),
            }
        }
        Ok(content)
    }

    /// Reads a journal that may be in use.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&std::fs::read(path).map_err(refused("read", path))?, path)
    }
}

impl Journal {
    /// A new journal that begins with `first`. It gets its name only when that line is whole and on disk.
    pub(super) fn create(path: &Path, first: &Line) -> Result<Self, Error> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".new");
        let draft = path.with_file_name(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&draft);
        let file = lock(file.map_err(refused("create", &draft))?, path)?;
        // Looked at under the lock: of two that create one journal, one finds it here.
        if path.exists() {
            // If it is gone already, so be it.
            let _ = std::fs::remove_file(&draft);
            return Err(Error::JournalExists { path: path.to_path_buf() });
        }
        file.set_len(0).map_err(refused("write", &draft))?;
        let mut journal = Self { path: path.to_path_buf(), file, end: 0, sync: true, broken: false };
        let named =
            journal.append(first, true).and_then(|()| std::fs::rename(&draft, path).map_err(refused("create", path)));
        if let Err(error) = named {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
        sync_folder(path);
        Ok(journal)
    }

    /// An existing journal. A torn end is moved to a file beside it, `NAME.torn`.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Line>), Error> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(refused("open", path))?;
        let mut file = lock(file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refused("read", path))?;
        let Content { lines, end } = Content::parse(&bytes, path)?;
        // Before anything is cut off: the file may be none of ours.
        if !matches!(lines.first(), Some(Line::Header(_))) {
            return Err(Error::NoHeader { path: path.to_path_buf() });
        }
        if end < bytes.len() {
            keep_aside(&bytes[end..], path)?;
            // On disk with the next outcome; if it never gets there, the end is as torn as before.
            file.set_len(end as u64).map_err(refused("cut the torn end of", path))?;
        }
        Ok((Self { path: path.to_path_buf(), file, end: end as u64, sync: true, broken: false }, lines))
    }

    /// Adds a line; `durable` ones are on disk when this returns, and with them all before.
    pub(super) fn append(&mut self, line: &Line, durable: bool) -> Result<(), Error> {
        self.unless_broken()?;
        let written = line.seal().map_err(std::io::Error::from).and_then(|text| self.write(&text, durable));
        written.map_err(|source| {
            self.broken = true;
            // What was written of the line goes, if it still can; if not, the next opening finds it torn.
            let _ = self.file.set_len(self.end);
            refused("write", &self.path)(source)
        })
    }

    /// That no write failed before.
    pub(super) fn unless_broken(&self) -> Result<(), Error> {
        if self.broken { Err(Error::JournalBroken { path: self.path.clone() }) } else { Ok(()) }
    }

    /// Whether outcomes are forced to disk one by one.
    pub(super) fn set_sync(&mut self, sync: bool) {
        self.sync = sync;
    }

    fn write(&mut self, text: &str, durable: bool) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(text.as_bytes())?;
        if durable && self.sync {
            self.file.sync_data()?;
        }
        self.end += text.len() as u64;
        Ok(())
    }
}

/// Takes the journal for this process. A program that is being started has its parent's files open for a moment, and with them the lock of
/// a journal that was just closed; so a lock that is held is tried again before it is called another search's.
fn lock(file: File, path: &Path) -> Result<File, Error> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(refused("lock", path)(source)),
        }
    }
    Err(Error::JournalLocked { path: path.to_path_buf() })
}

const LOCK_TRIES: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Forces the file's name to disk, where folders can be opened for that (not on Windows). The name is there in any case.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn keep_aside(torn: &[u8], path: &Path) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".torn");
    let aside = path.with_file_name(name);
    let file = OpenOptions::new().create(true).append(true).open(&aside);
    file.and_then(|mut file| file.write_all(torn)).map_err(refused("write", &aside))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { action, path, source }
}
