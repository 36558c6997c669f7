//! The sums that a fit is computed from: over the tokens of one layer, towards one or several streams.

use std::collections::BTreeMap;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::products::{TokenRows, add_cross, add_gram};
use super::triangle::Triangle;

/// A part of the tokens, by its place.
pub(super) type Part = usize;
/// What is fitted on.
pub(super) const FIT: Part = 0;
/// What is held back from the fit.
pub(super) const HELD_BACK: Part = 1;

/// The sums of one layer over some tokens; see [`Statistics`](super::Statistics).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    /// Tokens in them.
    pub tokens: usize,
    /// `Σ w h hᵀ`, `[inputs, inputs]`.
    pub gram: Triangle,
    /// `Σ w |x|²`: the tokens of a stream that is not zero.
    pub stream: f64,
    /// By the lengths of the gaps.
    pub gaps: BTreeMap<usize, GapSums>,
}

/// The sums of one layer towards one stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GapSums {
    /// `Σ w h rᵀ`, `[inputs, hidden]`.
    pub cross: DMatrix<f64>,
    /// `Σ w |r|²`
    pub target: f64,
    /// `Σ w x·r`
    pub along: f64,
}

impl Sums {
    /// Those of a layer, of no tokens, for gaps of some lengths.
    pub fn zero(inputs: usize, hidden: usize, lengths: impl IntoIterator<Item = usize>) -> Self {
        let gap = |length| (length, GapSums { cross: DMatrix::zeros(inputs, hidden), target: 0.0, along: 0.0 });
        let gaps = lengths.into_iter().map(gap).collect();
        Self { tokens: 0, gram: Triangle::zero(inputs), stream: 0.0, gaps }
    }
}

/// What a layer makes of some tokens, each with the weight `w = 1/|x|²` of its stream `x` after the layer; 0 where that
/// is zero (below 1e-38).
#[derive(Debug)]
pub(super) struct WeightedRows {
    /// What the fitted projection reads, times the roots of the weights, `[tokens, inputs]`.
    inputs: Vec<f32>,
    /// `x`, `[tokens, hidden]`.
    stream: Vec<f32>,
    /// The roots of the weights.
    roots: Vec<f32>,
}

impl WeightedRows {
    /// Of what the projection reads, `[tokens, inputs]`, and the stream after it, `[tokens, hidden]`.
    pub fn new(mut inputs: Vec<f32>, stream: Vec<f32>, hidden: usize) -> Self {
        let root = |row: &[f32]| {
            let root = (1.0 / dot(row, row).sqrt()) as f32;
            if root.is_finite() { root } else { 0.0 }
        };
        let roots: Vec<f32> = stream.par_chunks(hidden).map(root).collect();
        let width = inputs.len() / roots.len().max(1);
        inputs.par_chunks_mut(width.max(1)).zip(&roots).for_each(|(row, root)| {
            row.iter_mut().for_each(|value| *value *= root);
        });
        Self { inputs, stream, roots }
    }

    /// What the projection reads, weighted.
    fn rows(&self) -> TokenRows<'_> {
        TokenRows { values: &self.inputs, width: (self.inputs.len() / self.roots.len().max(1)).max(1) }
    }

    /// Adds the Gram matrix.
    pub fn add_gram(&self, sums: &mut Sums) {
        sums.tokens += self.roots.len();
        sums.stream += self.roots.iter().filter(|root| **root > 0.0).count() as f64;
        add_gram(&mut sums.gram, self.rows());
    }

    /// Adds what the layer has to do with a stream, `[tokens, hidden]`, that it is to be brought near to. `targets` is
    /// memory that is used again.
    pub fn add_target(&self, later: &[f32], sums: &mut GapSums, targets: &mut Vec<f32>) {
        let hidden = (later.len() / self.roots.len().max(1)).max(1);
        targets.resize(later.len(), 0.0);
        let rows = targets.par_chunks_mut(hidden).zip(self.stream.par_chunks(hidden));
        // Of each token: `w |r|²` and `w x·r`.
        let squares = rows.zip(later.par_chunks(hidden)).zip(&self.roots);
        let squares = squares.map(|(((target, before), after), root)| {
            for ((target, before), after) in target.iter_mut().zip(before).zip(after) {
                *target = root * (after - before);
            }
            (dot(target, target), f64::from(*root) * dot(target, before))
        });
        let squares: Vec<(f64, f64)> = squares.collect();
        sums.target += squares.iter().map(|(square, _)| square).sum::<f64>();
        sums.along += squares.iter().map(|(_, along)| along).sum::<f64>();
        add_cross(&mut sums.cross, self.rows(), TokenRows { values: targets, width: hidden });
    }
}

/// The sum of products, in f64; in several sums, so that no addition waits for the one before it.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const SUMS: usize = 16;
    let mut sums = [0.0; SUMS];
    let (a_parts, b_parts) = (a.chunks(SUMS), b.chunks(SUMS));
    for (a, b) in a_parts.zip(b_parts) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += f64::from(*a) * f64::from(*b));
    }
    sums.iter().sum()
}
