//! The base plus differences under one coefficient, of GPTailor's reference.

use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = w0 + c ((d_0 + d_1) + d_2 ...)` with `c` the `coefficient`, `d_i = w_i - w0`.
///
/// Equals `task_arithmetic` with all weights 1 and `lambda` = c, but for one rounding. The reference fails with one source; here
/// it may be one. Su et al., "GPTailor" (arXiv 2506.20480).
pub(crate) struct GptailorTaskArithmetic;

impl MergeOp for GptailorTaskArithmetic {
    type Known = f32;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: true, sources: 1..=usize::MAX, shared: &["coefficient"], own: &[] })?;
        settings.required("coefficient").map(|_| ())
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<f32, Error> {
        Ok(inputs.settings.required("coefficient")? as f32)
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, coefficient: &f32) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let sum = differences.into_iter().reduce(|sum, next| piece.round(sum.add(&next)));
        let mix = piece.round(sum.ok_or_else(|| piece.settings.no_sources())?.mul_scalar(*coefficient));
        Ok(piece.round(base.add(&mix)))
    }
}
