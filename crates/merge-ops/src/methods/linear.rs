//! The weighted mean, as mergekit's `linear`.

use burn::tensor::{DType, Tensor};

use super::no_sources;
use crate::{Error, MergeOp, Piece, Settings, Signature, Statistics};

/// `out = sum_i c_i w_i / sum_i c_i` with `c_i` the `weight` of source i, or without the division if `normalize` is false.
///
/// In f32 with fused multiply-adds in the order of the sources, as torch computes it; another precision of the recipe rounds the
/// sources and the result. The fused product is taken in f64, which differs from a true one in about one of 2^29 numbers; a
/// device without f64 multiplies and adds. mergekit divides by a zero sum of weights; here it is an error.
pub(crate) struct Linear;

impl MergeOp for Linear {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let sources = 1..=usize::MAX;
        settings.expect(&Signature { base: false, sources, shared: &["normalize"], own: &["weight"] })?;
        let (weights, normalize) = weights(settings)?;
        let usable = !normalize || weights.iter().sum::<f32>() != 0.0;
        if usable { Ok(()) } else { Err(settings.zero_weights()) }
    }

    fn merge(&self, piece: Piece<'_>, _: &Statistics) -> Result<Tensor<1>, Error> {
        let (weights, normalize) = weights(piece.settings)?;
        let total: f32 = weights.iter().sum();
        let mut weighted = piece.sources.iter().cloned().zip(weights);
        let (first, weight) = weighted.next().ok_or_else(|| no_sources(&piece))?;
        let mut mix = weighted.fold(first.mul_scalar(weight), |mix, (source, weight)| fused(source, weight, mix));
        if normalize {
            mix = mix.div_scalar(total);
        }
        Ok(piece.round(mix))
    }
}

fn weights(settings: &Settings<'_>) -> Result<(Vec<f32>, bool), Error> {
    let weights = settings.each_required("weight")?.into_iter().map(|weight| weight as f32).collect();
    Ok((weights, settings.flag("normalize")?.unwrap_or(true)))
}

/// `source * weight + mix`, rounded once.
fn fused(source: Tensor<1>, weight: f32, mix: Tensor<1>) -> Tensor<1> {
    if source.device().supports_dtype(DType::F64) {
        let exact = source.cast(DType::F64).mul_scalar(f64::from(weight)) + mix.cast(DType::F64);
        exact.cast(DType::F32)
    } else {
        source.mul_scalar(weight) + mix
    }
}
