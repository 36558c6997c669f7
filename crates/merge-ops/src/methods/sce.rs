//! Select, calculate, erase: differences where the sources disagree most, as mergekit's `sce`.

use std::ops::Range;

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use rayon::prelude::*;
use tailor_registry::Parameter;

use super::{INT8_MASK, LARGEST};
use crate::bits::Bits;
use crate::op::{BLOCK, blocks};
use crate::tools::{Cut, against};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// The `select_topk` (1) share of elements whose variance over the sources' differences is largest stays, of those that
/// have one at all; `out = w0 + sum_i a_i d_i k_i / max(sum_i a_i k_i, 1e-6)` with `a_i` the source's share of the mean
/// squares of what stays, and `k_i` whether `d_i` has the sign of the differences' sum.
///
/// Shares are equal where the mean squares sum to less than 1e-6, which those of many fine-tunings do, as in mergekit.
/// Of equal variances at the cut those of lowest index stay. Wan et al., "FuseChat" (arXiv 2408.07990).
pub(crate) struct Sce;

pub(crate) struct Statistics {
    /// What stays; none: all.
    kept: Option<Bits>,
    /// Of each source: `a_i`.
    shares: Vec<f32>,
}

impl MergeOp for Sce {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[
            Parameter::number(
                "select_topk",
                0.0,
                LARGEST,
                "Share of the elements that stays, those of largest variance; 1 or more: all.",
            )
            .with_default_number(1.0),
            INT8_MASK,
        ];
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            mergekit: Some(Mergekit { base_alone: true, silent: &["int8_mask"], ..Mergekit::named("sce") }),
            ..MethodSpec::new(
                "sce",
                "The base plus differences of one sign where sources vary most, weighted by their mean squares.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let share = inputs.settings.number("select_topk")?;
        let kept = (share < 1.0).then(|| selected(inputs, share));
        Ok(Statistics { shares: shares(inputs, kept.as_ref()), kept })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, mut differences) = piece.differences()?;
        if let Some(kept) = &statistics.kept {
            let gone = kept.gone(&base, piece.start);
            differences = differences.into_iter().map(|difference| difference.mask_fill(&gone, 0.0)).collect();
        }
        let negative = piece.sum(differences.iter().cloned())?.lower_elem(0.0);
        let (mut mix, mut total) = (Vec::new(), Vec::new());
        for (difference, share) in differences.into_iter().zip(&statistics.shares) {
            let against = against(&difference, &negative);
            total.push(difference.full_like(*share).mask_fill(&against, 0.0));
            mix.push(piece.round(difference.mul_scalar(*share)).mask_fill(&against, 0.0));
        }
        let total = piece.sum(total)?.clamp(1e-6, f32::INFINITY);
        let mix = piece.round(piece.sum(mix)?.div(&total));
        Ok(piece.round(base.add(&mix)))
    }
}

/// The elements of largest variance.
fn selected(inputs: &Inputs<'_>, share: f64) -> Bits {
    let n = inputs.elements();
    let read = |range| variances(inputs, range);
    let varying: usize = blocks(n).map(|range| read(range).into_iter().filter(|value| *value != 0.0).count()).sum();
    // A product in f32, as mergekit's.
    let k = (varying as f32 * share.max(0.0) as f32) as usize;
    let cut = Cut::largest(n, k, &read);
    Bits::new(n, BLOCK / 64, |range| {
        let values = read(range.clone()).into_iter().zip(range);
        values.map(|(value, index)| cut.is_none_or(|cut| cut.keeps(value, index))).collect()
    })
}

/// The variance of the sources' differences, at each element of a range; over all of them, not over one less.
fn variances(inputs: &Inputs<'_>, range: Range<usize>) -> Vec<f32> {
    let sources: Vec<Vec<f32>> = (0..inputs.sources.len()).map(|i| inputs.difference(i, range.clone())).collect();
    let count = sources.len() as f64;
    let at = |place: usize| {
        let values = || sources.iter().map(|source| f64::from(source[place]));
        let mean = values().sum::<f64>() / count;
        (values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count) as f32
    };
    (0..range.len()).map(at).collect()
}

/// What each source weighs: its part of the mean squares of what stays.
fn shares(inputs: &Inputs<'_>, kept: Option<&Bits>) -> Vec<f32> {
    let (n, count) = (inputs.elements(), inputs.sources.len());
    let mean_square = |source: usize| {
        let of = |range: Range<usize>| {
            let values = inputs.difference(source, range.clone()).into_iter().zip(range);
            let values = values.filter(|(_, index)| kept.is_none_or(|kept| kept.get(*index)));
            values.map(|(value, _)| f64::from(value) * f64::from(value)).sum::<f64>()
        };
        let blocks: Vec<f64> = blocks(n).map(of).collect();
        blocks.into_iter().sum::<f64>() / n as f64
    };
    let squares: Vec<f64> = (0..count).map(mean_square).collect();
    let total: f64 = squares.iter().sum();
    let share = |square: &f64| if total.abs() < 1e-6 { 1.0 / count as f64 } else { square / total };
    squares.iter().map(|square| share(square) as f32).collect()
}
