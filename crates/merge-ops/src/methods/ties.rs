//! Trimmed differences of the elected sign, as mergekit's `ties`.

use rayon::prelude::*;

use super::delta::{self, Delta};
use crate::op::blocks;
use crate::precision::round_number;
use crate::{Cut, Error, Inputs, MergeOp, Numbers, Piece, Settings};

/// Of each difference the `density` share of largest magnitudes stays; where the weighted sum of them is not negative the positive
/// ones count, else the negative; they give `w0 + lambda sum_i c_i d_i / sum_i c_i`.
///
/// `normalize` (on) is the division, `rescale` (off) lets the trimmed difference keep its L1 norm. Of equal magnitudes at the cut
/// those of lowest index stay; torch's choice follows no simple rule. Yadav et al., "TIES-Merging" (arXiv 2306.01708) takes the
/// plain mean of the agreeing differences instead, and the majority where the sum is 0.
pub(crate) struct Ties;

const DELTA: Delta = Delta { election: true, normalize: true };

impl MergeOp for Ties {
    type Known = delta::Known;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        DELTA.check(settings)
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<delta::Known, Error> {
        let n = inputs.elements();
        let rescale = inputs.settings.flag("rescale")?.unwrap_or(false);
        let cut = |(source, density): (usize, Option<f64>)| {
            let density = density.unwrap_or(1.0);
            let cut = if density >= 1.0 {
                None
            } else if density <= 0.0 {
                Some(Cut::NOTHING)
            } else {
                let k = ((density * n as f64) as usize).max(1);
                Cut::largest(n, k, &|range| inputs.difference(source, range))
            };
            (cut, cut.filter(|_| rescale).map_or(1.0, |cut| kept_ratio(inputs, source, cut)))
        };
        let cuts = inputs.settings.each("density")?.into_iter().enumerate().map(cut).collect();
        DELTA.know(inputs, cuts)
    }

    fn merge<N: Numbers>(&self, piece: Piece<'_, N>, known: &delta::Known) -> Result<N, Error> {
        delta::merge(piece, known)
    }
}

/// By what the kept magnitudes sum to less than all; 1 where there is next to nothing of either.
fn kept_ratio(inputs: &Inputs<'_>, source: usize, cut: Cut) -> f64 {
    let of = |range: std::ops::Range<usize>| {
        let start = range.start;
        let add = |(all, kept): (f64, f64), (at, number): (usize, f32)| {
            let magnitude = f64::from(number.abs());
            (all + magnitude, kept + if cut.keeps(number, start + at) { magnitude } else { 0.0 })
        };
        inputs.difference(source, range).into_iter().enumerate().fold((0.0, 0.0), add)
    };
    let blocks: Vec<(f64, f64)> = blocks(inputs.elements()).map(of).collect();
    let (all, kept) = blocks.into_iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    let round = |number: f64| round_number(number as f32, inputs.precision);
    let (all, kept) = (round(all), round(kept));
    if all < 1e-7 || kept < 1e-7 { 1.0 } else { f64::from(round(f64::from(all / kept))) }
}
