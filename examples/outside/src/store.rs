//! A store of another kind: a folder with one file for each line of the study.

use std::ffi::OsStr;
use std::fs::{File, create_dir_all, read_to_string, rename, write};
use std::{io, path::PathBuf};

use tailor_registry::Entry;
use zo_search::Error;
use zo_search::storage::{Storage, StorageKind, StorageWriter, is_whole};

/// `store = "line_files"`: the folder `journal.lines` in that of the study.
pub struct LineFiles;

impl Entry for LineFiles {
    fn name(&self) -> &str { "line_files" }
    fn summary(&self) -> &str { "A folder with one file for each line." }
}

impl StorageKind for LineFiles {
    fn claims(&self, location: &OsStr) -> bool { location.as_encoded_bytes().ends_with(b".lines") }
    fn at(&self, location: &OsStr) -> Box<dyn Storage> { Box::new(Folder(location.into())) }
    fn file_name(&self) -> Option<&'static str> { Some("journal.lines") }
}

/// The folder of one study; line 0, the header, says that there is one.
#[derive(Clone)]
struct Folder(PathBuf);

/// The only writer: the number of its next line, and a lock that the system takes away when the process ends.
struct Writer(Folder, usize, #[expect(dead_code, reason = "held for its lock")] File);

impl Folder {
    /// The file of a line.
    fn line(&self, number: usize) -> PathBuf { self.0.join(format!("{number:08}")) }
    fn failed(&self, source: io::Error) -> Error { Error::Io { action: "use", location: self.location(), source } }
    /// A line is whole under its name, or not there.
    fn put(&self, number: usize, line: &str) -> io::Result<()> {
        let draft = self.0.join("draft");
        write(&draft, line)?;
        File::open(&draft)?.sync_all()?;
        rename(&draft, self.line(number))
    }
    /// The writer of the line `next` and those behind it, if nobody else writes.
    fn writer(&self, next: usize) -> Result<Writer, Error> {
        let lock = create_dir_all(&self.0).and_then(|()| File::create(self.0.join("lock")));
        let lock = lock.map_err(|error| self.failed(error))?;
        lock.try_lock().map_err(|_| Error::StudyLocked { location: self.location() })?;
        Ok(Writer(self.clone(), next, lock))
    }
}

impl Storage for Folder {
    fn location(&self) -> String { self.0.display().to_string() }
    fn exists(&self) -> Result<bool, Error> { self.line(0).try_exists().map_err(|e| self.failed(e)) }
    fn create(&self, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        let writer = self.writer(lines.len())?;
        if self.exists()? { return Err(Error::StudyExists { location: self.location() }); }
        // The header comes last, as with it there is a study.
        (0..lines.len()).rev().try_for_each(|i| self.put(i, &lines[i])).map_err(|e| self.failed(e))?;
        Ok(Box::new(writer))
    }
    fn open(&self) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        let (mut writer, lines) = (self.writer(0)?, self.read()?);
        writer.1 = lines.len();
        Ok((Box::new(writer), lines))
    }
    fn read(&self) -> Result<Vec<String>, Error> {
        let whole = |i| read_to_string(self.line(i)).ok().filter(|line| is_whole(line.as_bytes()));
        let lines: Vec<String> = (0..).map_while(whole).collect();
        if lines.is_empty() { Err(Error::NoHeader { location: self.location() }) } else { Ok(lines) }
    }
}

impl StorageWriter for Writer {
    fn append(&mut self, lines: &[String], _durable: bool) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.0.put(self.1, line).map(|()| self.1 += 1))
    }
}
