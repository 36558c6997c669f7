//! The weighted mean of GPTailor's reference.

use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = sum_i (c_i / sum c) w_i` with `c_i` the `weight` of source i, 1 where it is not set.
///
/// Unlike `linear` it is always normalised, and multiplies and adds in the precision of the merge.
pub(crate) struct GptailorLinear;

impl MergeOp for GptailorLinear {
    type Known = Vec<f32>;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 1..=usize::MAX, shared: &[], own: &["weight"] })?;
        let total: f64 = weights(settings)?.iter().sum();
        if total == 0.0 { Err(settings.zero_weights()) } else { Ok(()) }
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error> {
        let weights = weights(&inputs.settings)?;
        let total: f64 = weights.iter().sum();
        Ok(weights.into_iter().map(|weight| (weight / total) as f32).collect())
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, shares: &Vec<f32>) -> Result<N, Error> {
        let sources = std::mem::take(&mut piece.sources);
        piece.weighted_sum(sources.into_iter().zip(shares.iter().copied()))
    }
}

fn weights(settings: &Settings<'_>) -> Result<Vec<f64>, Error> {
    Ok(settings.each("weight")?.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}
