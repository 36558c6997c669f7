//! What a teacher predicts, in a file: the most likely tokens behind each token, and the mass of all others.
//!
//! The file is eight bytes of magic, then `k` and the number of rows as u64, then the rows: `k` tokens (u32) in
//! ascending order, the logarithms of their probabilities (f32), and that of the rest (f32). Little-endian.

use std::path::Path;

use crate::Error;
use crate::row_file::{RowFile, RowKind, RowWriter};

const KIND: RowKind =
    RowKind { magic: b"TLTEACH1", bytes: |k| k.checked_mul(8).and_then(|bytes| bytes.checked_add(4)) };

/// The most likely tokens of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK {
    /// In ascending order.
    pub tokens: Vec<u32>,
    /// The logarithm of the probability of each.
    pub ln_p: Vec<f32>,
    /// That of all others together; minus infinity for none.
    pub ln_rest: f32,
}

impl TopK {
    /// The `k` most likely of a distribution that is given by its logits; of equally likely ones the lowest. `None` if
    /// one of the logits is no number, or there are fewer than `k`.
    #[must_use]
    pub fn of(logits: &[f32], k: usize) -> Option<Self> {
        if k == 0 || k > logits.len() || logits.iter().any(|logit| !logit.is_finite()) {
            return None;
        }
        let mut tokens: Vec<u32> = (0..u32::try_from(logits.len()).ok()?).collect();
        let logit = |token: u32| logits[token as usize];
        if k < tokens.len() {
            tokens.select_nth_unstable_by(k - 1, |&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        }
        let rest = tokens.split_off(k);
        tokens.sort_unstable();
        let highest = tokens.iter().fold(f32::NEG_INFINITY, |highest, token| highest.max(logit(*token)));
        let exp = |token: &u32| f64::from(logit(*token) - highest).exp();
        let (of_kept, of_rest) = (tokens.iter().map(exp).sum::<f64>(), rest.iter().map(exp).sum::<f64>());
        let ln_all = (of_kept + of_rest).ln();
        let ln_p = tokens.iter().map(|token| (f64::from(logit(*token) - highest) - ln_all) as f32).collect();
        Some(Self { tokens, ln_p, ln_rest: (of_rest.ln() - ln_all) as f32 })
    }
}

/// Writes predictions, row by row, under a temporary name until all are there.
#[derive(Debug)]
pub struct TeacherWriter(RowWriter);

impl TeacherWriter {
    /// Begins a file of rows of `k` tokens.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(path: &Path, k: usize) -> Result<Self, Error> {
        Ok(Self(RowWriter::create(KIND, path, k)?))
    }

    /// Adds a row; returns its number, from 0.
    ///
    /// # Errors
    /// [`Error::TeacherRow`] for a row of another number of tokens, [`Error::Write`].
    pub fn push(&mut self, row: &TopK) -> Result<usize, Error> {
        let k = self.0.size();
        if row.tokens.len() != k || row.ln_p.len() != k {
            return Err(Error::TeacherRow { expected: k, found: row.tokens.len() });
        }
        let [tokens, ln_p] = [bytemuck::cast_slice(&row.tokens), bytemuck::cast_slice(&row.ln_p)];
        self.0.push(&[tokens, ln_p, &row.ln_rest.to_le_bytes()])
    }

    /// Gives the file its name, and opens it.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Read`].
    pub fn finish(self) -> Result<TeacherFile, Error> {
        Ok(TeacherFile(self.0.finish()?))
    }
}

/// Predictions of a teacher, read as they are needed.
#[derive(Debug)]
pub struct TeacherFile(RowFile);

/// Some rows of a [`TeacherFile`].
#[derive(Debug, Clone, Default)]
pub struct TeacherRows {
    k: usize,
    /// As the file has them, four bytes each.
    words: Vec<u32>,
}

impl TeacherFile {
    /// Opens a file that a [`TeacherWriter`] finished.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::TeacherFile`] for a file of another kind or a truncated one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(RowFile::open(KIND, path)?))
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// How many tokens each names.
    #[must_use]
    pub fn k(&self) -> usize {
        self.0.size()
    }

    /// Reads some rows.
    ///
    /// # Errors
    /// [`Error::Read`], also for rows that are not there.
    pub fn read(&self, first: usize, count: usize) -> Result<TeacherRows, Error> {
        let k = self.k();
        let mut words = vec![0_u32; (2 * k + 1) * count];
        self.0.read(first, bytemuck::cast_slice_mut(&mut words))?;
        Ok(TeacherRows { k, words })
    }
}

impl TeacherRows {
    /// A row, from 0: tokens, the logarithms of their probabilities, that of the rest.
    pub(crate) fn row(&self, number: usize) -> (&[u32], &[f32], f32) {
        let size = 2 * self.k + 1;
        let words = &self.words[number * size..(number + 1) * size];
        let numbers: &[f32] = bytemuck::cast_slice(&words[self.k..]);
        (&words[..self.k], &numbers[..self.k], numbers[self.k])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_written() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("teacher.bin");
        let mut writer = TeacherWriter::create(&path, 2)?;
        let rows = [[0.0, 1.0, 0.5, -3.0], [2.0, 2.0, 2.0, 2.0]].map(|logits| TopK::of(&logits, 2));
        for (number, row) in rows.iter().flatten().enumerate() {
            assert_eq!(writer.push(row)?, number);
        }
        assert!(!path.exists(), "it has its name when it is whole");
        let file = writer.finish()?;
        let read = file.read(0, 2)?;
        let first = rows[0].as_ref().ok_or("a distribution")?;
        assert_eq!(read.row(0), (&[1, 2][..], first.ln_p.as_slice(), first.ln_rest));
        assert_eq!(read.row(1).0, [0, 1], "of equals the lowest");
        let sum: f64 = first.ln_p.iter().chain([&first.ln_rest]).map(|ln_p| f64::from(*ln_p).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!(matches!(file.read(1, 2), Err(Error::Read { .. })));
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..bytes.len() - 1])?;
        assert!(matches!(TeacherFile::open(&path), Err(Error::TeacherFile { .. })));
        Ok(())
    }
}
