//! One tensor as it is, as mergekit's `passthrough`.

use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = scale w`, or `w` where no `scale` is set.
pub(crate) struct Passthrough;

impl MergeOp for Passthrough {
    type Known = Option<f32>;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 1..=1, shared: &[], own: &["scale"] })?;
        settings.each("scale").map(|_| ())
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<Option<f32>, Error> {
        Ok(inputs.settings.each("scale")?.first().copied().flatten().map(|scale| scale as f32))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, scale: &Option<f32>) -> Result<N, Error> {
        let source = piece.first()?;
        Ok(match scale {
            Some(scale) => piece.round(source.mul_scalar(*scale)),
            None => source,
        })
    }
}
