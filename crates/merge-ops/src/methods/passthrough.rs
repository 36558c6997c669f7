//! One tensor as it is, as mergekit's `passthrough`.

use layer_ir::{Identity, Mergekit, MethodSpec};
use tailor_registry::Parameter;

use super::LARGEST;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = scale w`, or `w` where no `scale` is set.
pub(crate) struct Passthrough;

impl MergeOp for Passthrough {
    /// The `scale`.
    type Statistics = Option<f32>;

    fn spec(&self) -> MethodSpec {
        const PER_SOURCE: &[Parameter] =
            &[Parameter::number("scale", -LARGEST, LARGEST, "By what it is multiplied.").optional()];
        MethodSpec {
            sources: (1, 1),
            per_source: PER_SOURCE,
            identity: Identity::OnlySourceWhere(&[]),
            mergekit: Some(Mergekit::named("passthrough")),
            ..MethodSpec::new("passthrough", "One source, scaled or as it is.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Option<f32>, Error> {
        Ok(inputs.settings.each_optional("scale")?.first().copied().flatten().map(|scale| scale as f32))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, scale: &Option<f32>) -> Result<N, Error> {
        let source = piece.first()?;
        Ok(match scale {
            Some(scale) => piece.round(source.mul_scalar(*scale)),
            None => source,
        })
    }
}
