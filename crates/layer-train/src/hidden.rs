//! A teacher's last residual stream behind tokens, before its final norm, in a file; and the loss of a model's own.
//!
//! The file is eight bytes of magic, then the width and the number of rows as u64, then the rows in bf16: two bytes a
//! number. Its exponent is that of f32, as single numbers of a stream can be thousands. Little-endian.

use std::path::Path;

use half::bf16;

use crate::Error;
use crate::row_file::{RowFile, RowKind, RowWriter};

const KIND: RowKind = RowKind { magic: b"TLHIDDN1", bytes: |width| width.checked_mul(2) };

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
pub struct HiddenWriter(RowWriter);

impl HiddenWriter {
    /// Begins a file of rows of `width` numbers.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(path: &Path, width: usize) -> Result<Self, Error> {
        Ok(Self(RowWriter::create(KIND, path, width)?))
    }

    /// Adds a row, rounded to bf16.
    ///
    /// # Errors
    /// [`Error::HiddenRow`] for a row of another width or with a number that is none; [`Error::Write`].
    pub fn push(&mut self, row: &[f32]) -> Result<(), Error> {
        let expected = self.0.size();
        if row.len() != expected || row.iter().any(|value| !value.is_finite()) {
            return Err(Error::HiddenRow { expected, found: row.len() });
        }
        let bytes: Vec<u8> = row.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        self.0.push(&[&bytes]).map(drop)
    }

    /// Gives the file its name, and opens it.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Read`].
    pub fn finish(self) -> Result<HiddenFile, Error> {
        Ok(HiddenFile(self.0.finish()?))
    }
}

/// Streams of a teacher, read as they are needed.
#[derive(Debug)]
pub struct HiddenFile(RowFile);

impl HiddenFile {
    /// Opens a file that a [`HiddenWriter`] finished.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::TeacherFile`] for a file of another kind or a truncated one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(RowFile::open(KIND, path)?))
    }

    /// Numbers of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.size()
    }

    /// Reads some rows, `[count, width]`.
    ///
    /// # Errors
    /// [`Error::Read`], also for rows that are not there.
    pub fn read(&self, first: usize, count: usize) -> Result<Vec<f32>, Error> {
        let mut bytes = vec![0; 2 * self.width() * count];
        self.0.read(first, &mut bytes)?;
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
