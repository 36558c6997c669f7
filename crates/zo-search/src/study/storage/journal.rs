//! A study in a text file: one writer, lines added at a verified end, a torn end cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::files::{FileFormat, beside, exists_already, has_header, lock, refused, sync_folder};
use super::kind::Located;
use super::{Cursor, Journal, StorageWriter, is_whole};
use crate::Error;
use crate::row::Row;

/// The format of a journal.
#[derive(Debug, Clone)]
pub struct JsonLines;

impl FileFormat for JsonLines {
    /// A new journal with these lines.
    fn create(path: &Path, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        let draft = beside(path, ".new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&draft);
        let file = lock(file.map_err(refused("create", &draft))?, path)?;
        // Looked at under the lock: of two that create one journal, one finds it here.
        if path.exists() {
            // If it is gone already, so be it.
            let _ = std::fs::remove_file(&draft);
            return Err(exists_already(path));
        }
        file.set_len(0).map_err(refused("write", &draft))?;
        let mut journal = Writer { file, end: 0 };
        let named = journal.append(lines, true).and_then(|()| std::fs::rename(&draft, path));
        if let Err(source) = named {
            let _ = std::fs::remove_file(&draft);
            return Err(refused("create", path)(source));
        }
        sync_folder(path);
        Ok(Box::new(journal))
    }

    /// An existing journal and its lines. A torn end is moved to a file beside it, `NAME.torn`.
    fn open(path: &Path) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(refused("open", path))?;
        let mut file = lock(file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refused("read", path))?;
        let Content { lines, end } = Content::parse(&bytes, path)?;
        // Before anything is cut off: the file may be none of ours.
        has_header(&lines, path)?;
        if end < bytes.len() {
            keep_aside(&bytes[end..], path)?;
            // On disk with the next outcome; if it never gets there, the end is as torn as before.
            file.set_len(end as u64).map_err(refused("cut the torn end of", path))?;
        }
        Ok((Box::new(Writer { file, end: end as u64 }), lines))
    }

    /// The lines of a journal that may be in use, without a torn end.
    fn read(path: &Path) -> Result<Vec<String>, Error> {
        let bytes = std::fs::read(path).map_err(refused("read", path))?;
        Ok(Content::parse(&bytes, path)?.lines)
    }

    fn read_from(path: &Path, from: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        let mut bytes = Vec::new();
        let read = File::open(path)
            .and_then(|mut file| file.seek(SeekFrom::Start(from.byte)).and_then(|_| file.read_to_end(&mut bytes)));
        read.map_err(refused("read", path))?;
        let Content { lines, end } = Content::parse(&bytes, path)?;
        let last = lines.last().map_or(end, |last| end - last.len() - 1);
        let cursor = Cursor { line: (from.line + lines.len()).saturating_sub(1), byte: from.byte + last as u64 };
        Ok((lines, cursor))
    }

    /// The journal itself.
    fn lock_file(path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// An open journal, locked against other writers.
struct Writer {
    file: File,
    /// Where the last good line ends.
    end: u64,
}

impl StorageWriter for Writer {
    fn append(&mut self, lines: &[String], durable: bool) -> std::io::Result<()> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let written = self.write(text.as_bytes(), durable);
        match &written {
            Ok(()) => self.end += text.len() as u64,
            // What was written goes, if it still can; if not, the next opening finds it torn.
            Err(_) => drop(self.file.set_len(self.end)),
        }
        written
    }
}

impl Writer {
    /// Writes behind the last good line.
    fn write(&mut self, bytes: &[u8], durable: bool) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }
}

/// What a journal's bytes say.
pub(crate) struct Content {
    /// The good lines.
    pub(crate) lines: Vec<String>,
    /// How many bytes they take; what is behind them is torn.
    pub(crate) end: usize,
}

impl Content {
    /// Reads the lines up to a torn end. A bad line with a good one behind it is damage.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let mut content = Self { lines: Vec::new(), end: 0 };
        let mut bad = None;
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let text = line.strip_suffix(b"\n");
            match (is_whole(text.unwrap_or(line)), bad) {
                (true, None) if text.is_some() => {
                    content.lines.push(String::from_utf8_lossy(text.unwrap_or(line)).into_owned());
                    content.end += line.len();
                }
                (true, Some(bad)) => {
                    let problem = "this line is not whole, but good ones follow it";
                    return Err(Error::DamagedStudy { location: path.display().to_string(), line: bad, problem });
                }
                _ => bad = bad.or(Some(number + 1)),
            }
        }
        Ok(content)
    }
}

/// Adds a torn end to `NAME.torn`.
fn keep_aside(torn: &[u8], path: &Path) -> Result<(), Error> {
    let aside = beside(path, ".torn");
    let file = OpenOptions::new().create(true).append(true).open(&aside);
    file.and_then(|mut file| file.write_all(torn)).map_err(refused("write", &aside))
}

/// The row of the table of storages.
pub(super) const ROW: Row<Located> = Row::new(
    "journal",
    "A text file of JSON lines, to be read with any tool, on any disk.",
    &[],
    Located {
        claims: |_| true,
        at: |location| Box::new(Journal::new(location)),
        shared: None,
        file_name: Some("journal.jsonl"),
    },
);
