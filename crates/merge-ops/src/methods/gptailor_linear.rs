//! The weighted mean of GPTailor's reference.

use layer_ir::{MergeSettings, MethodError, MethodSpec};
use tailor_registry::Parameter;

use super::{WEIGHT, shares};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = sum_i (c_i / sum c) w_i` with `c_i` the `weight` of source i, 1 where it is not set.
///
/// Unlike `linear` it is always normalised, and multiplies and adds in the precision of the merge.
pub(crate) struct GptailorLinear;

/// The method that does not divide.
const UNLESS: &str = "method: linear, normalize: false";

impl MergeOp for GptailorLinear {
    /// The weights divided by their sum.
    type Statistics = Vec<f32>;

    fn spec(&self) -> MethodSpec {
        const PER_SOURCE: &[Parameter] = &[WEIGHT.with_default_number(1.0)];
        MethodSpec {
            per_source: PER_SOURCE,
            ..MethodSpec::new("gptailor_linear", "The weighted mean, in the reference's order of operations.")
        }
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        shares(settings, settings.each("weight")?, UNLESS).map(|_| ())
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error> {
        let shares = shares(&inputs.settings, inputs.settings.each("weight")?, UNLESS)?;
        Ok(shares.into_iter().map(|share| share as f32).collect())
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, shares: &Vec<f32>) -> Result<N, Error> {
        let sources = std::mem::take(&mut piece.sources);
        piece.weighted_sum(sources.into_iter().zip(shares.iter().copied()))
    }
}
