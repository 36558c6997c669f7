//! A study in an SQLite database: one table of the lines that a journal would have.
//!
//! The log of changes is written ahead (WAL), so that the study can be read while it goes on; when it is closed, the
//! database is one file again. An empty file `NAME.lock` beside it says who writes: SQLite's own locks do not tell a
//! second writer that waits from one that must not write at all, and locks of ours on the database itself would undo
//! SQLite's.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use crate::Error;
use crate::study::storage::files::{
    FileFormat, beside, exists_already, has_header, lock, no_header, refused, sync_folder,
};
use crate::study::storage::{Cursor, StorageWriter, is_whole};

/// The format of a database.
#[derive(Debug, Clone)]
pub struct Database;

impl FileFormat for Database {
    /// A new database with these lines.
    fn create(path: &Path, lines: &[String]) -> Result<Box<dyn StorageWriter>, Error> {
        let lock = lock_beside(path)?;
        if path.exists() {
            return Err(exists_already(path));
        }
        let draft = beside(path, ".new");
        // Of a process that was killed here, or of a database that somebody removed without them.
        for leftover in [draft.clone(), beside(&draft, "-journal"), beside(path, "-wal"), beside(path, "-shm")] {
            let _ = std::fs::remove_file(leftover);
        }
        write_draft(&draft, lines).map_err(refused("create", path))?;
        std::fs::rename(&draft, path).map_err(refused("create", path))?;
        sync_folder(path);
        let connection = connect(path).map_err(refused("open", path))?;
        begin_writing(connection, lines.len(), lock).map_err(refused("open", path))
    }

    /// An existing database and its lines.
    fn open(path: &Path) -> Result<(Box<dyn StorageWriter>, Vec<String>), Error> {
        std::fs::metadata(path).map_err(refused("open", path))?;
        let lock = lock_beside(path)?;
        let connection = connect(path).map_err(refused("open", path))?;
        let lines = lines_of(&connection, path)?;
        let medium = begin_writing(connection, lines.len(), lock).map_err(refused("open", path))?;
        Ok((medium, lines))
    }

    /// The lines of a database that may be in use.
    fn read(path: &Path) -> Result<Vec<String>, Error> {
        std::fs::metadata(path).map_err(refused("read", path))?;
        lines_of(&connect(path).map_err(refused("read", path))?, path)
    }

    fn read_from(path: &Path, from: Cursor) -> Result<(Vec<String>, Cursor), Error> {
        std::fs::metadata(path).map_err(refused("read", path))?;
        let lines = lines_after(&connect(path).map_err(refused("read", path))?, path, from.line)?;
        let cursor = Cursor { line: (from.line + lines.len()).saturating_sub(1), byte: 0 };
        Ok((lines, cursor))
    }

    fn lock_file(path: &Path) -> PathBuf {
        beside(path, ".lock")
    }
}

/// An open database, locked against other writers. The connection is closed before the lock is given back.
struct OpenDatabase {
    connection: Connection,
    /// How many lines are in it.
    lines: i64,
    /// Whether commits are forced to disk now.
    durable: bool,
    _lock: File,
}

/// How long a reader and the writer wait for each other.
const PATIENCE: Duration = Duration::from_secs(10);

impl StorageWriter for OpenDatabase {
    fn append(&mut self, lines: &[String], durable: bool) -> io::Result<()> {
        self.add(lines, durable).map_err(io::Error::other)
    }
}

impl OpenDatabase {
    fn add(&mut self, lines: &[String], durable: bool) -> rusqlite::Result<()> {
        if durable != self.durable {
            self.connection.execute_batch(synchronous(durable))?;
            self.durable = durable;
        }
        insert(&mut self.connection, self.lines, lines)?;
        self.lines += lines.len() as i64;
        Ok(())
    }
}

/// A commit that is not forced to disk is safe from a crash of the process, and never a part of one.
fn synchronous(durable: bool) -> &'static str {
    if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" }
}

/// Takes the study for this process, by the file `NAME.lock`.
fn lock_beside(path: &Path) -> Result<File, Error> {
    let beside = beside(path, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&beside);
    lock(file.map_err(refused("create", &beside))?, path)
}

/// A whole database under another name, which becomes the study when it is renamed.
fn write_draft(draft: &Path, lines: &[String]) -> io::Result<()> {
    let write = || {
        let mut connection = Connection::open(draft)?;
        connection.execute_batch("CREATE TABLE lines (number INTEGER PRIMARY KEY, line TEXT NOT NULL)")?;
        insert(&mut connection, 0, lines)?;
        connection.close().map_err(|(_, error)| error)
    };
    write().map_err(io::Error::other)
}

/// Adds lines behind the first `before`, all or none.
fn insert(connection: &mut Connection, before: i64, lines: &[String]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut statement = transaction.prepare_cached("INSERT INTO lines (number, line) VALUES (?1, ?2)")?;
        for (number, line) in (before + 1..).zip(lines) {
            statement.execute(params![number, line])?;
        }
    }
    transaction.commit()
}

/// Opened for writing even to be read: what a killed writer left must be put in order first.
fn connect(path: &Path) -> io::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(io::Error::other)?;
    connection.busy_timeout(PATIENCE).map_err(io::Error::other)?;
    Ok(connection)
}

/// The writer of a database of so many lines: commits go to a log beside it and are forced to disk.
fn begin_writing(connection: Connection, lines: usize, lock: File) -> io::Result<Box<dyn StorageWriter>> {
    connection.execute_batch("PRAGMA journal_mode = WAL").map_err(io::Error::other)?;
    connection.execute_batch(synchronous(true)).map_err(io::Error::other)?;
    Ok(Box::new(OpenDatabase { connection, lines: lines as i64, durable: true, _lock: lock }))
}

/// All lines, of which the first is a header and none is missing or changed.
fn lines_of(connection: &Connection, path: &Path) -> Result<Vec<String>, Error> {
    let lines = lines_after(connection, path, 0)?;
    has_header(&lines, path)?;
    Ok(lines)
}

/// The lines behind the first `before`, of which none is missing or changed.
fn lines_after(connection: &Connection, path: &Path, before: usize) -> Result<Vec<String>, Error> {
    let unreadable = |error: rusqlite::Error| refused("read", path)(io::Error::other(error));
    let damaged = |line, problem| Error::DamagedStudy { location: path.display().to_string(), line, problem };
    let prepared = connection.prepare("SELECT number, line FROM lines WHERE number > ?1 ORDER BY number");
    let mut statement =
        prepared.map_err(|error| if is_foreign(&error) { no_header(path) } else { unreadable(error) })?;
    let mut rows = statement.query([before as i64]).map_err(unreadable)?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next().map_err(unreadable)? {
        let number = before + lines.len() + 1;
        if row.get(0) != Ok(number as i64) {
            return Err(damaged(number, "the line is missing"));
        }
        let line: Option<String> = row.get(1).ok().filter(|line: &String| is_whole(line.as_bytes()));
        lines.push(line.ok_or_else(|| damaged(number, "the line is not whole"))?);
    }
    Ok(lines)
}

/// Whether this says that the file is no database, or one without our table.
fn is_foreign(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::Unknown))
}
