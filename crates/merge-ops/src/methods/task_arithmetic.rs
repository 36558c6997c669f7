//! The base plus weighted differences, as mergekit's `task_arithmetic`.

use super::delta::{self, Delta};
use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings};

/// `out = w0 + lambda sum_i c_i (w_i - w0)`, with `c_i` the `weight` of source i.
///
/// `normalize` (off) divides by the sum of weights; `density` and `rescale` are accepted and mean nothing here, as in mergekit.
/// Ilharco et al., "Editing models with task arithmetic" (arXiv 2212.04089).
pub(crate) struct TaskArithmetic;

const DELTA: Delta = Delta { election: false, normalize: false };

impl MergeOp for TaskArithmetic {
    type Known = delta::Known;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        DELTA.check(settings)
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<delta::Known, Error> {
        DELTA.know(inputs, Vec::new())
    }

    fn merge<N: Numbers>(&self, piece: Piece<'_, N>, known: &delta::Known) -> Result<N, Error> {
        delta::merge(piece, known)
    }
}
