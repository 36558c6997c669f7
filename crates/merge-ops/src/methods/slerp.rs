//! Spherical interpolation between the base and one source, as mergekit's `slerp`.

use layer_ir::{BaseRule, Dtype, Mergekit, MethodSpec};

use super::sphere;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = sin((1-t) th)/sin th a + sin(t th)/sin th b`, where a is the base, b the source and `th` their angle; `t` = 0
/// is the base. Beyond 0 and 1 it goes on along the circle.
///
/// The angle is taken in f64 over the whole tensor, the mix in f32 (a recipe's precision rounds the inputs and the
/// result). K. Shoemake, "Animating rotation with quaternion curves" (1985).
pub(crate) struct Slerp;

impl MergeOp for Slerp {
    /// The coefficients of the base and of the source. Both tensors are read once for their inner products.
    type Statistics = [f32; 2];

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            base: BaseRule::Always,
            sources: (1, 1),
            shared: sphere::SHARED,
            mergekit: Some(Mergekit::named("slerp")),
            ..MethodSpec::new("slerp", "From the base (`t` = 0) to the source (1), along the sphere.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<[f32; 2], Error> {
        let t = inputs.settings.number("t")? as f32;
        let products = inputs.sums(|block| sphere::products(&block.base, &block.sources[0]));
        Ok(sphere::coefficients(products, t, 1e-8))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, [of_base, of_source]: &[f32; 2]) -> Result<N, Error> {
        let (base, source) = (piece.base()?, piece.first()?);
        Ok(piece.round(base.mul_scalar(*of_base).add_rounded_product(&source, *of_source, Dtype::F32)))
    }
}
