//! One tensor as it is, as mergekit's `passthrough`.

use burn::tensor::Tensor;

use super::no_sources;
use crate::{Error, MergeOp, Piece, Settings, Signature, Statistics};

/// `out = scale w`, or `w` where no `scale` is set.
pub(crate) struct Passthrough;

impl MergeOp for Passthrough {
    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        settings.expect(&Signature { base: false, sources: 1..=1, shared: &[], own: &["scale"] })?;
        settings.each("scale").map(|_| ())
    }

    fn merge(&self, mut piece: Piece<'_>, _: &Statistics) -> Result<Tensor<1>, Error> {
        let scale = piece.settings.each("scale")?.first().copied().flatten();
        let source = piece.sources.pop().ok_or_else(|| no_sources(&piece))?;
        Ok(match scale {
            Some(scale) => piece.round(source.mul_scalar(scale as f32)),
            None => source,
        })
    }
}
