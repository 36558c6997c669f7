//! The base plus differences under one coefficient, of GPTailor's reference.

use burn::tensor::Tensor;

use super::no_sources;
use crate::{Error, MergeOp, Piece, Settings, Signature, Statistics};

/// `out = w0 + c ((d_0 + d_1) + d_2 ...)` with `c` the `coefficient`, `d_i = w_i - w0`.
///
/// Equals `task_arithmetic` with all weights 1 and `lambda` = c, but for one rounding. The reference fails with one source; here
/// it may be one. Su et al., "GPTailor" (arXiv 2506.20480).
pub(crate) struct GptailorTaskArithmetic;

impl MergeOp for GptailorTaskArithmetic {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: true, sources: 1..=usize::MAX, shared: &["coefficient"], own: &[] })?;
        settings.required("coefficient").map(|_| ())
    }

    fn merge(&self, mut piece: Piece<'_>, _: &Statistics) -> Result<Tensor<1>, Error> {
        let coefficient = piece.settings.required("coefficient")? as f32;
        let (base, differences) = piece.differences()?;
        let sum = differences.into_iter().reduce(|sum, next| piece.round(sum + next));
        let sum = sum.ok_or_else(|| no_sources(&piece))?;
        let mix = piece.round(sum.mul_scalar(coefficient));
        Ok(piece.round(base + mix))
    }
}
