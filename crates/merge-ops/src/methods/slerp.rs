//! Spherical interpolation between the base and one source, as mergekit's `slerp`.

use layer_ir::Dtype;

use super::sphere;
use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = sin((1-t) th)/sin th a + sin(t th)/sin th b`, where a is the base, b the source and `th` their angle; `t` = 0 is the base.
///
/// The angle is taken in f64 over the whole tensor, the mix in f32 (a recipe's precision rounds the inputs and the result). K.
/// Shoemake, "Animating rotation with quaternion curves" (1985).
pub(crate) struct Slerp;

impl MergeOp for Slerp {
    type Known = [f32; 2];

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: true, sources: 1..=1, shared: &["t"], own: &[] })?;
        settings.required("t").map(|_| ())
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<[f32; 2], Error> {
        let t = inputs.settings.required("t")? as f32;
        let products = inputs.sums(|block| sphere::products(&block.base, &block.sources[0]));
        Ok(sphere::coefficients(products, t, 1e-8))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, [of_base, of_source]: &[f32; 2]) -> Result<N, Error> {
        let (base, source) = (piece.base()?, piece.first()?);
        Ok(piece.round(base.mul_scalar(*of_base).add_rounded_product(&source, *of_source, Dtype::F32)))
    }
}
