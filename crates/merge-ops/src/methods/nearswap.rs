//! Swaps what is near to the base, as mergekit's `nearswap`.

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use tailor_registry::Parameter;

use super::LARGEST;
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = g b + (1 - g) a` with `g = clamp(t / max(|a - b|, 1e-6), 0, 1)`, where a is the base and b the source: near
/// numbers become the source's, far ones move by about `t`.
/// A `t` of 0 or less gives the base.
pub(crate) struct Nearswap;

impl MergeOp for Nearswap {
    /// `t`.
    type Statistics = f32;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[Parameter::number("t", -LARGEST, LARGEST, "How far a number may move.")];
        MethodSpec {
            base: BaseRule::Always,
            sources: (1, 1),
            shared: SHARED,
            mergekit: Some(Mergekit::named("nearswap")),
            ..MethodSpec::new(
                "nearswap",
                "The source where it is nearer to the base than `t`, elsewhere about `t` towards it.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<f32, Error> {
        Ok(inputs.settings.number("t")? as f32)
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, t: &f32) -> Result<N, Error> {
        let (base, source) = (piece.base()?, piece.first()?);
        let distance = piece.round(base.clone().sub(&source)).abs().clamp(1e-6, f32::INFINITY);
        let share = piece.round(base.full_like(*t).div(&distance)).clamp(0.0, 1.0);
        let rest = piece.round(share.full_like(1.0).sub(&share));
        let (of_source, of_base) = (piece.round(source.mul(&share)), piece.round(base.mul(&rest)));
        Ok(piece.round(of_source.add(&of_base)))
    }
}
