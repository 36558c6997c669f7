//! Spherical interpolation between two sources, of GPTailor's reference.

use layer_ir::MethodSpec;

use super::sphere;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// As `slerp`, but between the first source (`t` = 0) and the second, the base unused; vectors of a norm up to 1e-10
/// count as they are.
pub(crate) struct GptailorSlerp;

impl MergeOp for GptailorSlerp {
    /// The coefficients of the two sources. Both are read once for their inner products.
    type Statistics = [f32; 2];

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            sources: (2, 2),
            shared: sphere::SHARED,
            ..MethodSpec::new("gptailor_slerp", "From the first source (`t` = 0) to the second (1), along the sphere.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<[f32; 2], Error> {
        let t = inputs.settings.number("t")? as f32;
        let products = inputs.sums(|block| sphere::products(&block.sources[0], &block.sources[1]));
        Ok(sphere::coefficients(products, t, 1e-10))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, [of_first, of_second]: &[f32; 2]) -> Result<N, Error> {
        let (first, second) = (piece.first()?, piece.first()?);
        piece.weighted_sum([(first, *of_first), (second, *of_second)])
    }
}
