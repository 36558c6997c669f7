//! Inner products of the tensors of a merge: what methods that mix by angles and lengths must know of the whole
//! tensors.
//!
//! Once they are there, any sum of the sources under coefficients has its length and angles without another look at the
//! tensors. So the iterations of `karcher` run on a few numbers.

use std::ops::Range;

use rayon::prelude::*;

use crate::op::{BLOCK, blocks, spans};
use crate::{Inputs, Numbers};

/// Inner products of all pairs of vectors, in f64: the Gram matrix. Vectors are counted from 0, in the order of the
/// sources.
///
/// ```
/// use layer_ir::Parameters;
/// use merge_ops::tools::Vectors;
/// use merge_ops::{Inputs, Operand, Registry};
///
/// let sources = vec![Operand::from_values("w", &[3.0, 0.0]), Operand::from_values("w", &[3.0, 4.0])];
/// let (registry, none) = (Registry::standard(), Parameters::default());
/// let inputs = Inputs::of(registry.get("linear")?, &none, None, sources);
/// let gram = &Vectors::Whole.gram(&inputs, false)[0];
/// assert_eq!((gram.norm(1), gram.get(0, 1) / (gram.norm(0) * gram.norm(1))), (5.0, 0.6), "length and cosine");
/// assert_eq!(gram.norm_of(&[-1.0, 1.0]), 4.0, "the distance of the two");
/// # Ok::<(), layer_ir::MethodError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gram {
    vectors: usize,
    /// Of the pairs `i <= j`, row by row.
    products: Vec<f64>,
}

/// Which numbers of a tensor are one vector: lengths and angles may be taken of a whole matrix, of each row or of each
/// column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// All of them.
    Whole,
    /// Each run of so many, the last axis.
    Rows(usize),
    /// Each that lies so far behind the one before, the first axis.
    Columns(usize),
}

/// Parts that columns are summed in: few, as each holds the sums of all columns; fixed, so that threads change nothing.
const STRIPS: usize = 64;

impl Gram {
    /// The inner product of vectors `i` and `j`.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        self.products[i * self.vectors - i * (i + 1) / 2 + j]
    }

    /// The length of vector `i`.
    #[must_use]
    pub fn norm(&self, i: usize) -> f64 {
        self.get(i, i).max(0.0).sqrt()
    }

    /// The inner product of each vector with the sum of all under `coefficients`, one for each vector.
    #[must_use]
    pub fn times(&self, coefficients: &[f64]) -> Vec<f64> {
        let row = |i| coefficients.iter().enumerate().map(|(j, coefficient)| coefficient * self.get(i, j)).sum();
        (0..self.vectors).map(row).collect()
    }

    /// The length of the sum of the vectors under `coefficients`.
    #[must_use]
    pub fn norm_of(&self, coefficients: &[f64]) -> f64 {
        let square: f64 = self.times(coefficients).iter().zip(coefficients).map(|(a, b)| a * b).sum();
        square.max(0.0).sqrt()
    }
}

impl Vectors {
    /// Vectors along the last axis of the tensors of a merge; of a tensor of one axis, all of it.
    #[must_use]
    pub fn rows(inputs: &Inputs<'_>) -> Self {
        inputs.shape().last().filter(|length| **length > 0).map_or(Self::Whole, |length| Self::Rows(*length))
    }

    /// Vectors along the first axis of the tensors of a merge; of a tensor of one axis, all of it.
    #[must_use]
    pub fn columns(inputs: &Inputs<'_>) -> Self {
        match inputs.shape() {
            [first, _, ..] if *first > 0 => Self::Columns(inputs.elements() / first),
            _ => Self::Whole,
        }
    }

    /// The inner products of the sources' vectors, or of their differences to the base if `to_base` and there is one;
    /// one [`Gram`] for each vector of a tensor, in order.
    #[must_use]
    pub fn gram(self, inputs: &Inputs<'_>, to_base: bool) -> Vec<Gram> {
        let (n, vectors) = (inputs.elements(), inputs.sources.len());
        let read = |range: Range<usize>| -> Vec<Vec<f32>> {
            let of = |source: usize| match to_base {
                true => inputs.difference(source, range.clone()),
                false => inputs.sources[source].values(range.clone()),
            };
            (0..vectors).map(of).collect()
        };
        // Blocks are summed in their order, so that the number of threads changes no bit.
        match self {
            Self::Whole => {
                let blocks: Vec<Vec<f64>> = blocks(n).map(|range| products(&read(range))).collect();
                let none = vec![0.0; vectors * (vectors + 1) / 2];
                vec![Gram { vectors, products: blocks.into_iter().fold(none, added) }]
            }
            Self::Rows(length) => {
                let rows_at_once = (BLOCK / length).max(1);
                let of = |range: Range<usize>| {
                    let values = read(range.clone());
                    let row = |start: usize| {
                        let row: Vec<&[f32]> = values.iter().map(|values| &values[start..start + length]).collect();
                        Gram { vectors, products: products(&row) }
                    };
                    (0..range.len()).step_by(length).map(row).collect::<Vec<_>>()
                };
                let blocks: Vec<Vec<Gram>> = spans(n, rows_at_once * length).map(of).collect();
                blocks.into_iter().flatten().collect()
            }
            Self::Columns(count) => columns(n, count, vectors, &read),
        }
    }

    /// The number of each vector at each of its elements, for a piece that begins at `start`; `of` has a number for
    /// each vector.
    #[must_use]
    pub fn spread<N: Numbers>(self, piece: &N, start: usize, of: &[f32]) -> N {
        let n = piece.length();
        match self {
            Self::Whole => piece.full_like(of.first().copied().unwrap_or(0.0)),
            Self::Rows(length) => {
                let mut values = Vec::with_capacity(n);
                while values.len() < n {
                    let at = start + values.len();
                    let left = (length - at % length).min(n - values.len());
                    values.resize(values.len() + left, of[at / length]);
                }
                piece.values_like(values)
            }
            Self::Columns(count) => piece.values_like((start..start + n).map(|at| of[at % count]).collect()),
        }
    }
}

/// The Gram matrices of `count` columns: a row of the tensors at a time, in strips of rows.
fn columns(n: usize, count: usize, vectors: usize, read: &(dyn Fn(Range<usize>) -> Vec<Vec<f32>> + Sync)) -> Vec<Gram> {
    let pairs = vectors * (vectors + 1) / 2;
    let strip_rows = (n / count).div_ceil(STRIPS).max(1);
    let of = |range: Range<usize>| {
        let mut sums = vec![0.0_f64; pairs * count];
        for start in range.clone().step_by(count) {
            let row = read(start..start + count);
            let all_pairs = (0..vectors).flat_map(|i| (i..vectors).map(move |j| (i, j)));
            for ((i, j), sums) in all_pairs.zip(sums.chunks_mut(count)) {
                let products = row[i].iter().zip(&row[j]).map(|(a, b)| f64::from(*a) * f64::from(*b));
                sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
        }
        sums
    };
    let strips: Vec<Vec<f64>> = spans(n, strip_rows * count).map(of).collect();
    let sums = strips.into_iter().fold(vec![0.0; pairs * count], added);
    let column = |column| Gram { vectors, products: (0..pairs).map(|pair| sums[pair * count + column]).collect() };
    (0..count).map(column).collect()
}

/// Sums of one length, added element by element.
fn added(mut sums: Vec<f64>, more: Vec<f64>) -> Vec<f64> {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    sums
}

/// The inner products of the pairs `i <= j`, row by row, as [`Gram`] holds them.
fn products<V: AsRef<[f32]>>(vectors: &[V]) -> Vec<f64> {
    let pairs = (0..vectors.len()).flat_map(|i| (i..vectors.len()).map(move |j| (i, j)));
    pairs.map(|(i, j)| dot(vectors[i].as_ref(), vectors[j].as_ref())).collect()
}

/// Sums kept side by side, in which a processor adds several numbers at a time.
const SIDE: usize = 8;

/// The inner product of two runs of one length, in f64 and in a fixed order.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; SIDE];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<SIDE>(), b.as_chunks::<SIDE>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..SIDE {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}
