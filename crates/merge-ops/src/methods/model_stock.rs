//! Between the base and the sources' mean, by the angles of their differences, as mergekit's `model_stock`.

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use tailor_registry::Parameter;

use crate::gram::{Gram, Vectors};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = t mean_i w_i + (1 - t) w0` with `t = N c / (1 + (N-1) c)` and c the mean cosine of the differences
/// `w_i - w0`, over all pairs.
///
/// `filter_wise` (false) takes a t for each row, the last axis. t is 0 where its denominator is; it is not clamped, so
/// that it may leave 0 to 1 where differences point away from each other. Jang et al., "Model Stock" (arXiv 2403.19522)
/// has one angle for a layer; the mean over pairs is mergekit's. GPTailor's reference has no `filter_wise`, and no
/// number where the denominator is 0: here its form takes the base there too.
pub(crate) struct ModelStock {
    /// Whether `filter_wise` is a parameter.
    pub by_row: bool,
}

pub(crate) struct Statistics {
    /// What shares a t: the whole tensor, or a row.
    vectors: Vectors,
    /// The share of the mean, for each vector.
    t: Vec<f32>,
}

impl MergeOp for ModelStock {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] =
            &[Parameter::flag("filter_wise", false, "Whether each row has a share of its own.")];
        let spec = MethodSpec {
            base: BaseRule::Always,
            sources: (2, usize::MAX),
            ..MethodSpec::new("gptailor_stock", "`model_stock` of whole tensors.")
        };
        if !self.by_row {
            return spec;
        }
        let mergekit = Some(Mergekit::named("model_stock"));
        let summary = "Between the base and the mean, by the cosine of the differences; of whole tensors or rows.";
        MethodSpec { name: "model_stock", summary, shared: SHARED, mergekit, ..spec }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let by_row = self.by_row && inputs.settings.flag("filter_wise")?;
        let vectors = if by_row { Vectors::rows(inputs) } else { Vectors::Whole };
        let sources = inputs.sources.len();
        let t = vectors.gram(inputs, true).iter().map(|gram| share(gram, sources) as f32).collect();
        Ok(Statistics { vectors, t })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let base = piece.base()?;
        let sources = std::mem::take(&mut piece.sources);
        let count = sources.len() as f32;
        let mean = piece.round(piece.sum(sources)?.div_scalar(count));
        let (of_mean, of_base) = if let (Vectors::Whole, Some(t)) = (statistics.vectors, statistics.t.first()) {
            (mean.mul_scalar(*t), base.mul_scalar(1.0 - t))
        } else {
            let t = statistics.vectors.spread(&mean, piece.start, &statistics.t);
            let rest = t.full_like(1.0).sub(&t);
            (mean.mul(&t), base.mul(&rest))
        };
        Ok(piece.round(piece.round(of_mean).add(&piece.round(of_base))))
    }
}

/// The share of the mean among `n` sources: 1 where all differences point in one direction, 0 where they are
/// orthogonal, and 0 at the pole `c = -1 / (n - 1)`.
fn share(gram: &Gram, n: usize) -> f64 {
    let count = n as f64;
    let cosine = mean_cosine(gram, n);
    let denominator = 1.0 + (count - 1.0) * cosine;
    if denominator.abs() < 1e-6 { 0.0 } else { count * cosine / denominator }
}

/// The mean cosine of the angles over all pairs; lengths whose product is below 1e-6 count as that.
pub(super) fn mean_cosine(gram: &Gram, n: usize) -> f64 {
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    let cosine = |(i, j)| (gram.get(i, j) / (gram.norm(i) * gram.norm(j)).max(1e-6)).clamp(-1.0, 1.0);
    pairs.map(cosine).sum::<f64>() / (n * (n - 1) / 2) as f64
}
