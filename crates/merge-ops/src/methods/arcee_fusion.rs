//! What matters most of one source is put into the base, as mergekit's `arcee_fusion`.

use std::ops::Range;

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use rayon::prelude::*;

use crate::gram::Vectors;
use crate::op::BLOCK;
use crate::tools::magnitude_at;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = a + (b - a) [I >= T]` with the importance `I = |b - a| KL`, the divergence of the softmax of b's row from
/// that of a's, and `T` the median of I plus 1.5 times the distance of its quartiles; a is the base, b the source.
///
/// The quantiles are those of all elements; mergekit's are of a million drawn ones where there are more, which nobody
/// can repeat. The divergence is taken in f64; torch's f32 carries noise of about 1e-3, by which an element near T may
/// fall on the other side. mergekit returns f32 whatever the precision; here the recipe's holds.
pub(crate) struct ArceeFusion;

/// The base and the source are read once for the divergences, and for each of the three quantiles again.
pub(crate) struct Statistics {
    /// Rows along the last axis.
    rows: Vectors,
    /// Of each row.
    divergences: Vec<f32>,
    /// What is less important goes: T.
    threshold: f32,
}

impl MergeOp for ArceeFusion {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            base: BaseRule::Always,
            sources: (1, 1),
            mergekit: Some(Mergekit::named("arcee_fusion")),
            ..MethodSpec::new(
                "arcee_fusion",
                "The source where change times divergence of its row is an outlier, elsewhere the base.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let Some(base) = &inputs.base else { return Err(inputs.settings.missing_base().into()) };
        let n = inputs.elements();
        let length = inputs.shape().last().copied().unwrap_or(1).max(1);
        let of = |span: usize| {
            let rows = (BLOCK / length).max(1) * length;
            let range = span * rows..n.min((span + 1) * rows);
            let (a, b) = (base.values(range.clone()), inputs.sources[0].values(range));
            a.chunks(length).zip(b.chunks(length)).map(|(a, b)| divergence(a, b)).collect::<Vec<_>>()
        };
        let spans = n.div_ceil((BLOCK / length).max(1) * length);
        let divergences: Vec<f32> = (0..spans).into_par_iter().flat_map_iter(of).collect();
        let importances = |range: Range<usize>| {
            let differences = inputs.difference(0, range.clone()).into_iter().zip(range);
            differences.map(|(difference, index)| difference.abs() * divergences[index / length]).collect()
        };
        let quantile = |share: f64| magnitude_at(n, (share * n.saturating_sub(1) as f64) as f32 as usize, &importances);
        let threshold = if n == 0 { 0.0 } else { quantile(0.5) + 1.5 * (quantile(0.75) - quantile(0.25)) };
        Ok(Statistics { rows: Vectors::Rows(length), divergences, threshold })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let start = piece.start;
        let (base, mut differences) = piece.differences()?;
        let Some(difference) = differences.pop() else { return Err(piece.settings.source_count().into()) };
        let divergence = statistics.rows.spread(&difference, start, &statistics.divergences);
        let unimportant = difference.clone().abs().mul(&divergence).lower_elem(statistics.threshold);
        Ok(piece.round(base.add(&difference.mask_fill(&unimportant, 0.0))))
    }
}

/// The divergence of two rows, Kullback and Leibler's: `sum P ln(P/Q)` with `P = softmax(b) + 1e-8` and
/// `Q = softmax(a) + 1e-8`.
fn divergence(a: &[f32], b: &[f32]) -> f32 {
    let exponentials = |row: &[f32]| -> (Vec<f64>, f64) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: Vec<f64> = row.iter().map(|number| (f64::from(*number) - f64::from(most)).exp()).collect();
        let sum = all.iter().sum();
        (all, sum)
    };
    let ((q, of_q), (p, of_p)) = (exponentials(a), exponentials(b));
    let terms = p.iter().zip(&q).map(|(p, q)| {
        let (p, q) = (p / of_p + 1e-8, q / of_q + 1e-8);
        p * (p / q).ln()
    });
    terms.sum::<f64>() as f32
}
