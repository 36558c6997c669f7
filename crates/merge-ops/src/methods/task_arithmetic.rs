//! The base plus weighted differences, as mergekit's `task_arithmetic`.

use burn::tensor::Tensor;

use super::delta::Delta;
use crate::{Error, MergeOp, Piece, Settings, Statistics};

/// `out = w0 + lambda sum_i c_i (w_i - w0)`, with `c_i` the `weight` of source i.
///
/// `normalize` (off) divides by the sum of weights; `density` and `rescale` are accepted and mean nothing here, as in mergekit.
/// Ilharco et al., "Editing models with task arithmetic" (arXiv 2212.04089).
pub(crate) struct TaskArithmetic;

const DELTA: Delta = Delta { election: false, normalize: false };

impl MergeOp for TaskArithmetic {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        DELTA.check(settings)
    }

    fn merge(&self, piece: Piece<'_>, known: &Statistics) -> Result<Tensor<1>, Error> {
        DELTA.merge(piece, known)
    }
}
