//! The base plus differences under one coefficient, of GPTailor's reference.

use layer_ir::{BaseRule, Identity, Mergekit, MethodSpec};
use tailor_registry::Parameter;

use super::COEFFICIENT;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = w0 + c ((d_0 + d_1) + d_2 ...)` with `c` the `coefficient`, `d_i = w_i - w0`.
///
/// Equals `task_arithmetic` with all weights 1 and `lambda` = c, but for one rounding. The reference fails with one
/// source; here it may be one. Su et al., "GPTailor" (arXiv 2506.20480).
pub(crate) struct GptailorTaskArithmetic;

impl MergeOp for GptailorTaskArithmetic {
    /// The `coefficient`.
    type Statistics = f32;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[COEFFICIENT];
        let renamed = &[("coefficient", "lambda")];
        let mergekit = Mergekit { reads: false, base_alone: true, renamed, ..Mergekit::named("task_arithmetic") };
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            identity: Identity::BaseWhere("coefficient", 0.0),
            mergekit: Some(Mergekit { fixed: &[("weight", 1.0)], ..mergekit }),
            ..MethodSpec::new(
                "gptailor_task_arithmetic",
                "The base plus the sum of the differences under one coefficient.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<f32, Error> {
        Ok(inputs.settings.number("coefficient")? as f32)
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, coefficient: &f32) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let sum = differences.into_iter().reduce(|sum, next| piece.round(sum.add(&next)));
        let mix = piece.round(sum.ok_or_else(|| piece.settings.source_count())?.mul_scalar(*coefficient));
        Ok(piece.round(base.add(&mix)))
    }
}
