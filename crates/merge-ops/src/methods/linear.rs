//! The weighted mean, as mergekit's `linear`.

use layer_ir::{Identity, MergeSettings, Mergekit, MethodError, MethodSpec};
use tailor_registry::Parameter;

use super::{WEIGHT, are_shares};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = sum_i c_i w_i / sum_i c_i` with `c_i` the `weight` of source i, or without the division if `normalize` is
/// false.
///
/// In f32 with fused multiply-adds in the order of the sources, as torch computes it; another precision of the recipe
/// rounds the sources and the result. mergekit divides by a zero sum of weights; here it is an error. Wortsman et al.,
/// "Model soups" (arXiv 2203.05482), where all weights are equal.
pub(crate) struct Linear;

/// The parameters; no tensor is read for them.
pub(crate) struct Statistics {
    /// Of each source.
    weights: Vec<f32>,
    /// What the sum is divided by; `None` if it is not.
    total: Option<f32>,
}

impl MergeOp for Linear {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] =
            &[Parameter::flag("normalize", true, "Whether the sum is divided by that of the weights.")];
        const PER_SOURCE: &[Parameter] = &[WEIGHT];
        MethodSpec {
            shared: SHARED,
            per_source: PER_SOURCE,
            identity: Identity::OnlySourceWhere(&[("weight", 1.0)]),
            mergekit: Some(Mergekit::named("linear")),
            ..MethodSpec::new("linear", "The weighted mean.")
        }
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        statistics(settings).map(|_| ())
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        Ok(statistics(&inputs.settings)?)
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let first = piece.first()?;
        let weight = statistics.weights.first().copied().unwrap_or(1.0);
        let others = piece.sources.iter().zip(statistics.weights.iter().skip(1));
        let mut mix = others.fold(first.mul_scalar(weight), |mix, (source, weight)| mix.add_product(source, *weight));
        // A division by 1 changes nothing, and takes as long as all else.
        if let Some(total) = statistics.total.filter(|total| *total != 1.0) {
            mix = mix.div_scalar(total);
        }
        Ok(piece.round(mix))
    }
}

/// The parameters; refused if weights that are divided by sum to next to nothing.
fn statistics(settings: &MergeSettings<'_>) -> Result<Statistics, MethodError> {
    let weights: Vec<f32> = settings.each("weight")?.into_iter().map(|weight| weight as f32).collect();
    let total = settings.flag("normalize")?.then(|| weights.iter().sum::<f32>());
    let divides = |total: &f32| are_shares(weights.iter().map(|weight| f64::from(*weight)), f64::from(*total));
    if total.as_ref().is_some_and(|total| !divides(total)) {
        return Err(settings.zero_weights("normalize: false"));
    }
    Ok(Statistics { weights, total })
}
