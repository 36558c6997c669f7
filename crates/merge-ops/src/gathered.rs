//! An embedding or a head in the rows of another vocabulary: gathered where it is read, never as a whole.
//!
//! Models of one family may have different tokens. [`layer_ir::Alignment`] says for each row of the shared vocabulary
//! where each model has it; an [`Operand`](crate::Operand) with such rows reads them through a [`Gathered`].

use std::ops::Range;
use std::sync::Arc;

use layer_ir::{Dtype, OuterRows, Row, TensorView};
use rayon::prelude::*;

use crate::precision::round_all;
use crate::{Error, Lanes};

/// How many numbers are gathered by one thread at a time.
const STRIDE: usize = 1 << 18;
/// How many rows are summed by one thread at a time; fixed, so that means do not depend on the number of threads.
const ROWS: usize = 256;

/// The aligned rows of one model's tensor.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Of every model: where each row of the shared vocabulary comes from.
    rows: Arc<OuterRows>,
    /// The tensors of all models of the outer tensor.
    views: Arc<Vec<TensorView>>,
    /// Which of them this one is.
    own: usize,
    /// `[rows of the shared vocabulary, columns]`.
    shape: Vec<usize>,
    /// The format in which the merge computes, and so what a mean is rounded to.
    precision: Dtype,
    /// The mean of the model's stored rows, if a [`Row::OwnMean`] asks for it; else empty.
    own_mean: Vec<f32>,
    /// The mean of all aligned rows that are no padding, if a [`Row::Padding`] asks for it; else empty.
    padding: Vec<f32>,
}

impl Gathered {
    /// Checks the tensors, and computes the means of whole tensors that rows ask for. `own` is the model's place in
    /// `views` and in the lists of `rows`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for a tensor that is too short for a row, or whose rows have another width.
    pub fn new(rows: Arc<OuterRows>, views: Arc<Vec<TensorView>>, own: usize, precision: Dtype) -> Result<Self, Error> {
        let shape = [&[rows.rows[own].len()], views[own].shape.get(1..).unwrap_or(&[])].concat();
        let mut gathered = Self { rows, views, own, shape, precision, own_mean: Vec::new(), padding: Vec::new() };
        gathered.check()?;
        let asks = |row: &Row| gathered.list().contains(row);
        let (own_mean, padding) = (asks(&Row::OwnMean), asks(&Row::Padding));
        if own_mean {
            let stored = gathered.views[own].shape[0];
            gathered.own_mean = gathered.mean((0..stored).map(Row::Own).collect());
        }
        if padding {
            gathered.padding =
                gathered.mean(gathered.list().iter().filter(|row| **row != Row::Padding).cloned().collect());
        }
        Ok(gathered)
    }

    /// Its shape in the shared vocabulary.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where each of its rows comes from.
    fn list(&self) -> &[Row] {
        &self.rows.rows[self.own]
    }

    /// How many numbers a row has.
    fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// How many numbers there are.
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether every row that is named is there, and as wide as the others.
    fn check(&self) -> Result<(), Error> {
        let mut needed = vec![0; self.views.len()];
        let mut need = |model: usize, row: usize| needed[model] = needed[model].max(row + 1);
        for row in self.list() {
            match row {
                Row::Own(row) => need(self.own, *row),
                Row::Of { model, row } => need(*model, *row),
                Row::Mean(rows) => rows.iter().for_each(|(model, row)| need(*model, *row)),
                Row::Zero | Row::OwnMean | Row::Padding => {}
            }
        }
        for (view, needed) in self.views.iter().zip(needed) {
            let fits = view.shape.first().is_some_and(|rows| *rows >= needed) && view.shape[1..] == self.shape[1..];
            if !fits {
                let (file, tensor, found) = (view.file.clone(), view.name.clone(), view.shape.clone());
                let expected = [&[needed], &self.shape[1..]].concat();
                return Err(Error::ShapeMismatch { file, tensor, found, expected });
            }
        }
        Ok(())
    }

    /// Where in the stored tensor a range lies, if it lies there in one piece.
    pub fn stored(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (width, range) = (self.width(), range.start..range.end.min(self.elements()));
        if range.is_empty() {
            return Some(0..0);
        }
        let first = range.start / width;
        let rows = &self.list()[first..range.end.div_ceil(width)];
        let Row::Own(start) = rows[0] else { return None };
        let follows = rows.iter().zip(start..).all(|(row, expected)| *row == Row::Own(expected));
        let begin = start * width + range.start % width;
        follows.then(|| begin..begin + range.len())
    }

    /// Some of its numbers; fewer where the range ends behind the last one.
    pub fn values(&self, range: Range<usize>) -> Vec<f32> {
        let (width, range) = (self.width(), range.start..range.end.min(self.elements()));
        let mut values = vec![0.0; range.len()];
        values.par_chunks_mut(STRIDE).enumerate().for_each(|(stride, mut out)| {
            let mut at = range.start + stride * STRIDE;
            while !out.is_empty() {
                let column = at % width;
                let (piece, rest) = out.split_at_mut((width - column).min(out.len()));
                self.read(&self.list()[at / width], column, piece);
                at += piece.len();
                out = rest;
            }
        });
        values
    }

    /// A piece of a row, from a column on.
    fn read(&self, row: &Row, column: usize, out: &mut [f32]) {
        match row {
            Row::Own(row) => self.stored_row(self.own, *row, column, out),
            Row::Of { model, row } => self.stored_row(*model, *row, column, out),
            Row::Mean(rows) => {
                let mut sums = vec![0.0; out.len()];
                for (model, row) in rows.iter() {
                    self.stored_row(*model, *row, column, out);
                    add(&mut sums, out);
                }
                out.copy_from_slice(&self.divided(&sums, rows.len()));
            }
            Row::Zero => out.fill(0.0),
            Row::OwnMean => out.copy_from_slice(&self.own_mean[column..column + out.len()]),
            Row::Padding => out.copy_from_slice(&self.padding[column..column + out.len()]),
        }
    }

    /// A piece of a stored row of a model, rounded to the precision of the merge.
    fn stored_row(&self, model: usize, row: usize, column: usize, out: &mut [f32]) {
        let view = &self.views[model];
        let (start, size) = (row * self.width() + column, view.dtype.size_in_bytes());
        Lanes::stored(&view.data[start * size..(start + out.len()) * size], view.dtype).copy_to(out);
        if view.dtype != self.precision {
            round_all(out, self.precision);
        }
    }

    /// The mean of rows, summed in f64 in a fixed order.
    fn mean(&self, rows: Vec<Row>) -> Vec<f32> {
        let width = self.width();
        let sum = |rows: &[Row]| {
            let (mut sums, mut numbers) = (vec![0.0; width], vec![0.0; width]);
            for row in rows {
                self.read(row, 0, &mut numbers);
                add(&mut sums, &numbers);
            }
            sums
        };
        let sums: Vec<Vec<f64>> = rows.par_chunks(ROWS).map(sum).collect();
        let mut total = vec![0.0; width];
        for sum in sums {
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
        }
        self.divided(&total, rows.len())
    }

    /// Sums divided by how many rows there are, rounded to the precision of the merge.
    fn divided(&self, sums: &[f64], count: usize) -> Vec<f32> {
        let mut mean: Vec<f32> = sums.iter().map(|sum| (sum / count.max(1) as f64) as f32).collect();
        round_all(&mut mean, self.precision);
        mean
    }
}

/// Adds numbers to sums, one to one.
fn add(sums: &mut [f64], numbers: &[f32]) {
    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += f64::from(*number));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of two columns.
    fn view(name: &str, numbers: [f32; 6]) -> TensorView {
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        TensorView {
            name: name.to_owned(),
            file: "memory".into(),
            dtype: Dtype::F32,
            shape: vec![3, 2],
            data: data.into(),
            opened: None,
        }
    }

    fn gathered(rows: Vec<Row>, precision: Dtype) -> Result<Gathered, Error> {
        let views =
            vec![view("ours", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), view("theirs", [10.0, 11.0, 12.0, 13.0, 14.0, 15.003])];
        let rows = OuterRows { models: vec!["ours".to_owned(), "theirs".to_owned()], rows: vec![rows, Vec::new()] };
        Gathered::new(Arc::new(rows), Arc::new(views), 0, precision)
    }

    #[test]
    fn each_row_comes_from_its_place() -> Result<(), Error> {
        let rows = vec![
            Row::Own(2),
            Row::Own(0),
            Row::Own(1),
            Row::Of { model: 1, row: 0 },
            Row::Mean([(0, 2), (1, 1)].into()),
            Row::Zero,
            Row::OwnMean,
            Row::Padding,
        ];
        let all = gathered(rows, Dtype::F32)?;
        // The mean of the seven rows above: 4 0 2 10 8 0 2, and 5 1 3 11 9 0 3.
        let expected = [4.0, 5.0, 0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 8.0, 9.0, 0.0, 0.0, 2.0, 3.0, 26.0 / 7.0, 32.0 / 7.0];
        assert_eq!((all.shape(), all.values(0..99)), ([8, 2].as_slice(), expected.to_vec()));
        for (start, end) in [(1, 2), (3, 9), (13, 16), (5, 5)] {
            assert_eq!(all.values(start..end), expected[start..end]);
        }
        assert_eq!(
            (all.stored(2..6), all.stored(3..5), all.stored(0..3), all.stored(6..7)),
            (Some(0..4), Some(1..3), None, None)
        );
        Ok(())
    }

    #[test]
    fn rows_of_others_and_means_are_in_the_format_of_the_merge() -> Result<(), Error> {
        let rows = vec![Row::Of { model: 1, row: 2 }, Row::Mean([(0, 0), (1, 2)].into())];
        let round = |number: f32| half::bf16::from_f32(number).to_f32();
        assert_eq!(gathered(rows, Dtype::BF16)?.values(0..4), [14.0, 15.0, 7.0, round((1.0 + round(15.003)) / 2.0)]);
        Ok(())
    }

    #[test]
    fn a_row_beyond_the_tensor_is_an_error() {
        let error = gathered(vec![Row::Of { model: 1, row: 3 }], Dtype::F32).err();
        let Some(Error::ShapeMismatch { tensor, found, .. }) = &error else { panic!("{error:?}") };
        assert_eq!((tensor.as_str(), found.as_slice()), ("theirs", [3, 2].as_slice()));
    }
}
