//! The plain mean of GPTailor's reference.

use layer_ir::MethodSpec;

use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = sum_i w_i / N` for `N` sources. The reference has the file, but does not register it.
pub(crate) struct GptailorAverage;

impl MergeOp for GptailorAverage {
    type Statistics = ();

    fn spec(&self) -> MethodSpec {
        MethodSpec::new("gptailor_average", "The mean of the sources.")
    }

    fn prepare(&self, _: &Inputs<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, (): &()) -> Result<N, Error> {
        let sources = std::mem::take(&mut piece.sources);
        let count = sources.len() as f32;
        Ok(piece.round(piece.sum(sources)?.div_scalar(count)))
    }
}
