//! The weighted mean, as mergekit's `linear`.

use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = sum_i c_i w_i / sum_i c_i` with `c_i` the `weight` of source i, or without the division if `normalize` is false.
///
/// In f32 with fused multiply-adds in the order of the sources, as torch computes it; another precision of the recipe rounds the
/// sources and the result. mergekit divides by a zero sum of weights; here it is an error.
pub(crate) struct Linear;

pub(crate) struct Known {
    weights: Vec<f32>,
    /// What the sum is divided by.
    total: Option<f32>,
}

impl MergeOp for Linear {
    type Known = Known;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let sources = 1..=usize::MAX;
        settings.expect(&Signature { base: false, sources, shared: &["normalize"], own: &["weight"] })?;
        let usable = known(settings)?.total != Some(0.0);
        if usable { Ok(()) } else { Err(settings.zero_weights()) }
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<Known, Error> {
        known(&inputs.settings)
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, known: &Known) -> Result<N, Error> {
        let first = piece.first()?;
        let weight = known.weights.first().copied().unwrap_or(1.0);
        let others = piece.sources.iter().zip(known.weights.iter().skip(1));
        let mut mix = others.fold(first.mul_scalar(weight), |mix, (source, weight)| mix.add_product(source, *weight));
        // A division by 1 changes nothing, and takes as long as all else.
        if let Some(total) = known.total.filter(|total| *total != 1.0) {
            mix = mix.div_scalar(total);
        }
        Ok(piece.round(mix))
    }
}

fn known(settings: &Settings<'_>) -> Result<Known, Error> {
    let weights: Vec<f32> = settings.each_required("weight")?.into_iter().map(|weight| weight as f32).collect();
    let normalize = settings.flag("normalize")?.unwrap_or(true);
    Ok(Known { total: normalize.then(|| weights.iter().sum()), weights })
}
