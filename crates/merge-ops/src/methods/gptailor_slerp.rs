//! Spherical interpolation between two sources, of GPTailor's reference.

use burn::tensor::Tensor;

use super::{no_sources, sphere};
use crate::{Error, Inputs, MergeOp, Piece, Settings, Signature, Statistics};

/// As `slerp`, but between the first source (`t` = 0) and the second, the base unused; vectors of a norm up to 1e-10 count as they are.
pub(crate) struct GptailorSlerp;

impl MergeOp for GptailorSlerp {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 2..=2, shared: &["t"], own: &[] })?;
        settings.required("t").map(|_| ())
    }

    fn statistics(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let t = inputs.settings.required("t")? as f32;
        let products = inputs.sums(|block| sphere::products(&block.sources[0], &block.sources[1]));
        Ok(Statistics::numbers(sphere::coefficients(products, t, 1e-10)))
    }

    fn merge(&self, mut piece: Piece<'_>, known: &Statistics) -> Result<Tensor<1>, Error> {
        let (second, first) = (piece.sources.pop(), piece.sources.pop());
        let (Some(first), Some(second), &[of_first, of_second]) = (first, second, known.numbers.as_slice()) else {
            return Err(no_sources(&piece));
        };
        let first = piece.round(first.mul_scalar(of_first as f32));
        let second = piece.round(second.mul_scalar(of_second as f32));
        Ok(piece.round(first + second))
    }
}
