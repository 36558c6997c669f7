//! Rows of as many bytes each in a file: eight bytes of magic, then the size of a row (in units of its own kind) and
//! the number of rows as u64, then the rows. Little-endian.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;

const HEADER: usize = 24;

/// What tells files of one kind from others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowKind {
    pub magic: &'static [u8; 8],
    /// Bytes of a row of some size; `None` if no row can be so large.
    pub bytes: fn(u64) -> Option<u64>,
}

/// Writes rows under a temporary name until all are there.
#[derive(Debug)]
pub(crate) struct RowWriter {
    kind: RowKind,
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    size: usize,
    rows: u64,
}

impl RowWriter {
    /// Begins a file of rows of one size.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(kind: RowKind, path: &Path, size: usize) -> Result<Self, Error> {
        let partial = path.with_extension("partial");
        let failed = |source| Error::Write { file: path.to_owned(), source };
        let mut file = BufWriter::new(File::create(&partial).map_err(failed)?);
        file.write_all(&[0; HEADER]).map_err(failed)?;
        Ok(Self { kind, path: path.to_owned(), partial, file, size, rows: 0 })
    }

    /// The size of a row.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Adds a row, which is all of these parts; returns its number, from 0.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<usize, Error> {
        let written = parts.iter().try_for_each(|part| self.file.write_all(part));
        written.map_err(|source| Error::Write { file: self.path.clone(), source })?;
        self.rows += 1;
        Ok(self.rows as usize - 1)
    }

    /// Gives the file its name, and opens it.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Read`].
    pub fn finish(self) -> Result<RowFile, Error> {
        let Self { kind, path, partial, mut file, size, rows } = self;
        let header = [kind.magic.as_slice(), &(size as u64).to_le_bytes(), &rows.to_le_bytes()].concat();
        let written = file.rewind().and_then(|()| file.write_all(&header)).and_then(|()| file.flush());
        let written = written.and_then(|()| file.get_ref().sync_all()).and_then(|()| std::fs::rename(&partial, &path));
        written.map_err(|source| Error::Write { file: path.clone(), source })?;
        RowFile::open(kind, &path)
    }
}

/// Rows that are read as they are needed.
#[derive(Debug)]
pub(crate) struct RowFile {
    path: PathBuf,
    file: Mutex<File>,
    size: usize,
    rows: usize,
    row_bytes: usize,
}

impl RowFile {
    /// Opens a file that a [`RowWriter`] finished.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::TeacherFile`] for a file of another kind or a truncated one.
    pub fn open(kind: RowKind, path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { file: path.to_owned(), source };
        let damaged = || Error::TeacherFile { file: path.to_owned() };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(|_| damaged())?;
        let number = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let (size, rows) = (number(8), number(16));
        let row_bytes = (kind.bytes)(size).ok_or_else(damaged)?;
        let whole = row_bytes.checked_mul(rows).and_then(|bytes| bytes.checked_add(HEADER as u64)) == Some(length);
        if header[..8] != *kind.magic || !whole {
            return Err(damaged());
        }
        let [size, rows, row_bytes] = [size, rows, row_bytes].map(|number| number as usize);
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), size, rows, row_bytes })
    }

    /// The size of a row.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Reads whole rows, as many as fit, from one on.
    ///
    /// # Errors
    /// [`Error::Read`], also for rows that are not there.
    pub fn read(&self, first: usize, into: &mut [u8]) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (HEADER + self.row_bytes * first) as u64;
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(into));
        read.map_err(|source| Error::Read { file: self.path.clone(), source })
    }
}
