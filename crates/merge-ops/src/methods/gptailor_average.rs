//! The plain mean of GPTailor's reference.

use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = sum_i w_i / N`. The reference has the file, but does not register it.
pub(crate) struct GptailorAverage;

impl MergeOp for GptailorAverage {
    type Known = ();

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 1..=usize::MAX, shared: &[], own: &[] })
    }

    fn know(&self, _: &Inputs<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, (): &()) -> Result<N, Error> {
        let sources = std::mem::take(&mut piece.sources);
        let count = sources.len() as f32;
        Ok(piece.round(piece.sum(sources)?.div_scalar(count)))
    }
}
