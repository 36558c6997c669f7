//! A teacher's last residual stream behind tokens, before its final norm, in a file; and the loss of a model's own.
//!
//! The file is eight bytes of magic, then the width and the number of rows as u64, then the rows in bf16: two bytes a
//! number. Its exponent is that of f32, as single numbers of a stream can be thousands. Little-endian.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::bf16;

use crate::Error;

const MAGIC: &[u8; 8] = b"TLHIDDN1";
const HEADER: usize = 24;

/// The stream that is wanted at a row, before the final norm.
///
/// With the model's own stream x and the teacher's t the loss is `|x - t|^2 / |t|^2`: the mean squared error of
/// TinyBERT's last hidden state (Jiao et al. 2020, <https://arxiv.org/abs/1909.10351>, equation 8) over the mean square
/// of t, so that the few rows with a stream hundreds of times as large as the others' count as much as these.
#[derive(Debug, Clone, Copy)]
pub struct HiddenTarget<'a> {
    /// What its loss is multiplied by.
    pub weight: f32,
    /// t, `[hidden]`.
    pub stream: &'a [f32],
}

impl HiddenTarget<'_> {
    /// The loss times its weight, of the model's stream `x`; its gradient is added to `d_x`, where it is wanted.
    pub(crate) fn loss(&self, x: &[f32], d_x: Option<&mut [f32]>) -> f64 {
        let apart = sum_of_squares(x.iter().zip(self.stream).map(|(x, t)| x - t));
        let scale = self.scale();
        if let Some(d_x) = d_x {
            let twice = (2.0 * scale) as f32;
            d_x.iter_mut().zip(x.iter().zip(self.stream)).for_each(|(d_x, (x, t))| *d_x += twice * (x - t));
        }
        scale * apart
    }

    /// What `|x - t|^2` is multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        f64::from(self.weight) / sum_of_squares(self.stream.iter().copied()).max(f64::from(f32::MIN_POSITIVE))
    }
}

fn sum_of_squares(values: impl Iterator<Item = f32>) -> f64 {
    values.fold(0.0, |sum, value| sum + f64::from(value) * f64::from(value))
}

/// Writes streams, row by row, under a temporary name until all are there.
#[derive(Debug)]
pub struct HiddenWriter {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    width: usize,
    rows: u64,
}

impl HiddenWriter {
    /// Begins a file of rows of `width` numbers.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(path: &Path, width: usize) -> Result<Self, Error> {
        let partial = path.with_extension("partial");
        let failed = |source| Error::Write { file: path.to_owned(), source };
        let mut file = BufWriter::new(File::create(&partial).map_err(failed)?);
        file.write_all(&[0; HEADER]).map_err(failed)?;
        Ok(Self { path: path.to_owned(), partial, file, width, rows: 0 })
    }

    /// Adds a row, rounded to bf16.
    ///
    /// # Errors
    /// [`Error::HiddenRow`] for a row of another width or with a number that is none; [`Error::Write`].
    pub fn push(&mut self, row: &[f32]) -> Result<(), Error> {
        if row.len() != self.width || row.iter().any(|value| !value.is_finite()) {
            return Err(Error::HiddenRow { expected: self.width, found: row.len() });
        }
        let bytes: Vec<u8> = row.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|source| Error::Write { file: self.path.clone(), source })?;
        self.rows += 1;
        Ok(())
    }

    /// Gives the file its name, and opens it.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Read`].
    pub fn finish(self) -> Result<HiddenFile, Error> {
        let Self { path, partial, mut file, width, rows } = self;
        let header = [MAGIC.as_slice(), &(width as u64).to_le_bytes(), &rows.to_le_bytes()].concat();
        let written = file.rewind().and_then(|()| file.write_all(&header)).and_then(|()| file.flush());
        let written = written.and_then(|()| file.get_ref().sync_all()).and_then(|()| std::fs::rename(&partial, &path));
        written.map_err(|source| Error::Write { file: path.clone(), source })?;
        HiddenFile::open(&path)
    }
}

/// Streams of a teacher, read as they are needed.
#[derive(Debug)]
pub struct HiddenFile {
    path: PathBuf,
    file: Mutex<File>,
    width: usize,
}

impl HiddenFile {
    /// Opens a file that a [`HiddenWriter`] finished.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::TeacherFile`] for a file of another kind or a truncated one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { file: path.to_owned(), source };
        let damaged = || Error::TeacherFile { file: path.to_owned() };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(|_| damaged())?;
        let number = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let (width, rows) = (number(8), number(16));
        let bytes = width.checked_mul(2).and_then(|bytes| bytes.checked_mul(rows));
        let whole = bytes.and_then(|bytes| bytes.checked_add(HEADER as u64)) == Some(length);
        if header[..8] != *MAGIC || !whole {
            return Err(damaged());
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), width: width as usize })
    }

    /// Numbers of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Reads some rows, `[count, width]`.
    ///
    /// # Errors
    /// [`Error::Read`], also for rows that are not there.
    pub fn read(&self, first: usize, count: usize) -> Result<Vec<f32>, Error> {
        let mut bytes = vec![0; 2 * self.width * count];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (HEADER + 2 * self.width * first) as u64;
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|source| Error::Read { file: self.path.clone(), source })?;
        Ok(bytes.chunks_exact(2).map(|two| bf16::from_le_bytes([two[0], two[1]]).to_f32()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_rounded_to_bf16() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("hidden.bin");
        let mut writer = HiddenWriter::create(&path, 3)?;
        writer.push(&[1.0, -2.5, 70_000.0])?;
        writer.push(&[1.001, 0.0, 1e-30])?;
        assert!(matches!(writer.push(&[1.0]), Err(Error::HiddenRow { expected: 3, found: 1 })));
        assert!(writer.push(&[f32::NAN; 3]).is_err() && !path.exists(), "it has its name when it is whole");
        let file = writer.finish()?;
        assert_eq!(file.read(0, 1)?, [1.0, -2.5, 70_144.0], "eight bits of 70,000");
        let second = file.read(1, 1)?;
        assert!(second[0] == 1.0 && (second[2] / 1e-30 - 1.0).abs() < 1.0 / 256.0, "{second:?}");
        assert!(matches!(file.read(1, 2), Err(Error::Read { .. })));
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..bytes.len() - 1])?;
        assert!(matches!(HiddenFile::open(&path), Err(Error::TeacherFile { .. })));
        Ok(())
    }

    #[test]
    fn the_loss_is_a_share_of_the_teachers_square() {
        let target = HiddenTarget { weight: 0.5, stream: &[3.0, 4.0] };
        let mut d_x = [1.0, 0.0];
        assert!((target.loss(&[3.0, 5.0], Some(&mut d_x)) - 0.5 / 25.0).abs() < 1e-12);
        assert_eq!(d_x, [1.0, 0.04]);
        assert!((target.loss(&[0.0, 0.0], None) - 0.5).abs() < 1e-12);
    }
}
