//! Trimmed differences of the elected sign, of GPTailor's reference.

use layer_ir::{BaseRule, Identity, MethodSpec};
use rayon::prelude::*;
use tailor_registry::Parameter;

use super::COEFFICIENT;
use crate::op::blocks;
use crate::precision::round_number;
use crate::tools::Cut;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = w0 + c (sum of the kept d_i) / (their number)`, with `c` the `coefficient` and `mask_rate` (0.8) the share
/// that goes.
///
/// Unlike `ties`: magnitudes equal to the cut's all stay, there are no weights, and where the differences sum to 0 the
/// sign is that of most of the tensor. The parameter is called `param_value_mask_rate` in the reference.
pub(crate) struct GptailorTies;

pub(crate) struct Statistics {
    coefficient: f32,
    /// Which differences of each source stay; none: all.
    cuts: Vec<Option<Cut>>,
    /// The sign where the differences sum to 0: -1, 0 or 1.
    majority: f32,
}

impl MergeOp for GptailorTies {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[
            COEFFICIENT,
            Parameter::number("mask_rate", 0.0, 1.0, "Share of the smallest differences that goes.")
                .with_default_number(0.8),
        ];
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            identity: Identity::BaseWhere("coefficient", 0.0),
            ..MethodSpec::new("gptailor_ties", "The base plus the mean of trimmed differences of the elected sign.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let n = inputs.elements();
        let k = (n as f64 * inputs.settings.number("mask_rate")?) as usize;
        let cut = |source| Cut::from_kth_smallest(n, k, &|range| inputs.difference(source, range));
        let cuts: Vec<Option<Cut>> = (0..inputs.sources.len()).map(cut).collect();
        let majority = majority_sign(inputs, &cuts) as f32;
        Ok(Statistics { coefficient: inputs.settings.number("coefficient")? as f32, cuts, majority })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let trim = |(difference, cut): (N, &Option<Cut>)| match cut {
            Some(cut) => cut.apply(difference, piece.start),
            None => difference,
        };
        let trimmed: Vec<N> = differences.into_iter().zip(&statistics.cuts).map(trim).collect();
        let sign = self::sign(piece.sum(trimmed.iter().cloned())?, statistics.majority);
        let (mut kept, mut counts) = (Vec::with_capacity(trimmed.len()), Vec::with_capacity(trimmed.len()));
        for difference in trimmed {
            let against = difference.clone().mul(&sign).lower_equal_elem(0.0);
            counts.push(difference.full_like(1.0).mask_fill(&against, 0.0));
            kept.push(difference.mask_fill(&against, 0.0));
        }
        let count = piece.sum(counts)?.clamp(1.0, f32::INFINITY);
        let mean = piece.round(piece.sum(kept)?.div(&count));
        let mix = piece.round(mean.mul_scalar(statistics.coefficient));
        Ok(piece.round(base.add(&mix)))
    }
}

/// The sign of each sum, 1 or -1; `at_zero` where a sum is 0.
fn sign<N: Numbers>(sums: N, at_zero: f32) -> N {
    let (negative, zero) = (sums.lower_elem(0.0), sums.equal_elem(0.0));
    sums.full_like(1.0).mask_fill(&negative, -1.0).mask_fill(&zero, at_zero)
}

/// The sign of the sum of all elements' signs, which are those of the sums of what stays of the differences.
fn majority_sign(inputs: &Inputs<'_>, cuts: &[Option<Cut>]) -> f64 {
    let of = |range: std::ops::Range<usize>| {
        let start = range.start;
        let mut sums = vec![0.0_f32; range.len()];
        for (source, cut) in cuts.iter().enumerate() {
            let differences = inputs.difference(source, range.clone()).into_iter().enumerate();
            for (sum, (at, number)) in sums.iter_mut().zip(differences) {
                *sum += if cut.is_none_or(|cut| cut.keeps(number, start + at)) { number } else { 0.0 };
            }
        }
        let sign = |sum: f32| match round_number(sum, inputs.precision) {
            sum if sum > 0.0 => 1,
            sum if sum < 0.0 => -1,
            _ => 0,
        };
        sums.into_iter().map(sign).sum::<i64>()
    };
    blocks(inputs.elements()).map(of).sum::<i64>().signum() as f64
}
