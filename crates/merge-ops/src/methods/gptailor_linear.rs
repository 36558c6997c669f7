//! The weighted mean of GPTailor's reference.

use burn::tensor::Tensor;

use super::sum;
use crate::{Error, MergeOp, Piece, Settings, Signature, Statistics};

/// `out = sum_i (c_i / sum c) w_i` with `c_i` the `weight` of source i, 1 where it is not set.
///
/// Unlike `linear` it is always normalised, and multiplies and adds in the precision of the merge.
pub(crate) struct GptailorLinear;

impl MergeOp for GptailorLinear {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 1..=usize::MAX, shared: &[], own: &["weight"] })?;
        let total: f64 = weights(settings)?.iter().sum();
        if total == 0.0 { Err(settings.zero_weights()) } else { Ok(()) }
    }

    fn merge(&self, mut piece: Piece<'_>, _: &Statistics) -> Result<Tensor<1>, Error> {
        let weights = weights(piece.settings)?;
        let total: f64 = weights.iter().sum();
        let sources = std::mem::take(&mut piece.sources);
        let weighted = sources.into_iter().zip(weights);
        let weighted = weighted.map(|(source, weight)| piece.round(source.mul_scalar((weight / total) as f32)));
        let weighted: Vec<_> = weighted.collect();
        sum(&piece, weighted)
    }
}

fn weights(settings: &Settings<'_>) -> Result<Vec<f64>, Error> {
    Ok(settings.each("weight")?.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}
