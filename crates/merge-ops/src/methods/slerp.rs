//! Spherical interpolation between the base and one source, as mergekit's `slerp`.

use burn::tensor::Tensor;

use super::{no_sources, sphere};
use crate::{Error, Inputs, MergeOp, Piece, Settings, Signature, Statistics};

/// `out = sin((1-t) th)/sin th a + sin(t th)/sin th b`, where a is the base, b the source and `th` their angle; `t` = 0 is the base.
///
/// The angle is taken in f64 over the whole tensor, the mix in f32 (a recipe's precision rounds the inputs and the result). K.
/// Shoemake, "Animating rotation with quaternion curves" (1985).
pub(crate) struct Slerp;

impl MergeOp for Slerp {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: true, sources: 1..=1, shared: &["t"], own: &[] })?;
        settings.required("t").map(|_| ())
    }

    fn statistics(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let t = inputs.settings.required("t")? as f32;
        let products = inputs.sums(|block| sphere::products(&block.base, &block.sources[0]));
        Ok(Statistics::numbers(sphere::coefficients(products, t, 1e-8)))
    }

    fn merge(&self, mut piece: Piece<'_>, known: &Statistics) -> Result<Tensor<1>, Error> {
        let base = piece.base()?;
        let (source, &[of_base, of_source]) = match (piece.sources.pop(), known.numbers.as_slice()) {
            (Some(source), [of_base, of_source]) => (source, &[*of_base, *of_source]),
            _ => return Err(no_sources(&piece)),
        };
        Ok(piece.round(base.mul_scalar(of_base as f32) + source.mul_scalar(of_source as f32)))
    }
}
