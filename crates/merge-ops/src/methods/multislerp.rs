//! Several sources on one sphere, around their weighted mean, as mergekit's `multislerp`.

use layer_ir::{BaseRule, MergeSettings, Mergekit, MethodError, MethodSpec};
use tailor_registry::Parameter;

use super::{LARGEST, WEIGHT, shares};
use crate::gram::{Gram, Vectors};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = m sum_i a_i |x_i| (+ w0)`, where x_i is source i, or its difference to the base if there is one; `m` is the
/// unit vector along `sum_i a_i x_i / (|x_i| + eps)`, and `a_i` the `weight` of source i, divided by their sum unless
/// `normalize_weights` is false.
///
/// mergekit goes on by one step in the tangent plane at m; it is zero but for rounding, because m is their weighted
/// mean, and left out. One source is returned as it is. Two sources that cancel are mixed linearly; more of them are an
/// error, as in mergekit, also where all equal the base; with `base_if_opposed` (false; ours) the base is taken then.
pub(crate) struct Multislerp;

const SHARED: &[Parameter] = &[
    Parameter::flag("normalize_weights", true, "Whether weights are divided by their sum."),
    Parameter::number("eps", 0.0, LARGEST, "Added to each length; a shorter mean counts as none.")
        .with_default_number(1e-8),
    Parameter::flag("base_if_opposed", false, "Whether the base is taken where directions cancel. Ours."),
];
const PER_SOURCE: &[Parameter] = &[WEIGHT];

impl MergeOp for Multislerp {
    /// The coefficients of the sources; none: the only source itself.
    type Statistics = Option<Vec<f32>>;

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            base: BaseRule::Optional,
            shared: SHARED,
            per_source: PER_SOURCE,
            mergekit: Some(Mergekit { ours: &["base_if_opposed"], ..Mergekit::named("multislerp") }),
            ..MethodSpec::new(
                "multislerp",
                "The direction of the weighted mean of unit vectors, at the weighted mean length; of differences if \
                 there is a base.",
            )
        }
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        weights(settings).map(|_| ())
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Self::Statistics, Error> {
        if inputs.sources.len() == 1 {
            return Ok(None);
        }
        let settings = &inputs.settings;
        let eps = settings.number("eps")?;
        let shares = weights(settings)?;
        let gram = Vectors::Whole.gram(inputs, inputs.base.is_some());
        let found = gram.first().and_then(|gram| coefficients(gram, &shares, eps));
        let found = match (found, shares.len()) {
            (Some(found), _) => found,
            (None, 2) => shares,
            (None, n) if inputs.base.is_some() && settings.flag("base_if_opposed")? => vec![0.0; n],
            (None, _) => {
                return Err(Error::Opposed { method: settings.method.name.into(), tensor: settings.tensor.clone() });
            }
        };
        Ok(Some(found.into_iter().map(|coefficient| coefficient as f32).collect()))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Self::Statistics) -> Result<N, Error> {
        let Some(coefficients) = statistics else { return piece.first() };
        if piece.base.is_none() {
            let sources = std::mem::take(&mut piece.sources);
            return mix(&piece, sources, coefficients);
        }
        let (base, differences) = piece.differences()?;
        let mixed = mix(&piece, differences, coefficients)?;
        Ok(piece.round(mixed.add(&base)))
    }
}

/// The sum under coefficients.
pub(super) fn mix<N: Numbers>(piece: &Piece<'_, N>, all: Vec<N>, coefficients: &[f32]) -> Result<N, Error> {
    piece.weighted_sum(all.into_iter().zip(coefficients.iter().copied()))
}

/// The weights, divided by their sum if that is asked for.
fn weights(settings: &MergeSettings<'_>) -> Result<Vec<f64>, MethodError> {
    let weights = settings.each("weight")?;
    if settings.flag("normalize_weights")? {
        shares(settings, weights, "normalize_weights: false")
    } else {
        Ok(weights)
    }
}

/// The coefficients of the sources; `None` where the weighted unit vectors cancel, that is, sum to less than `eps`.
fn coefficients(gram: &Gram, shares: &[f64], eps: f64) -> Option<Vec<f64>> {
    let mean: Vec<f64> = shares.iter().enumerate().map(|(i, share)| share / (gram.norm(i) + eps)).collect();
    let length = gram.norm_of(&mean);
    let radius: f64 = shares.iter().enumerate().map(|(i, share)| share * gram.norm(i)).sum();
    (length >= eps).then(|| mean.iter().map(|coefficient| coefficient / length * radius).collect())
}
