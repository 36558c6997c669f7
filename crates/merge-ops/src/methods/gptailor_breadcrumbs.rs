//! Differences without the smallest and the largest, as GPTailor's reference.

use std::ops::Range;

use layer_ir::{BaseRule, Identity, MergeSettings, MethodError, MethodSpec};
use tailor_registry::Parameter;

use super::COEFFICIENT;
use crate::select::{Band, Edge};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = w0 + c sum_i d_i [kth(lo) <= |d_i| <= kth(n - hi)]` with `lo = int(n mask_rate)`,
/// `hi = int(n (1 - density)) - lo` and c the `coefficient`; both ends stay, with all their equals.
///
/// Unlike mergekit's `breadcrumbs` there are no weights, and k-th values instead of an exact number of elements. The
/// reference's own defaults (0.9, 0.8) ask for more to be cut than there is, so both must be given, with
/// `mask_rate <= 1 - density`; `mask_rate` 0 fails there and cuts nothing below here.
pub(crate) struct GptailorBreadcrumbs;

pub(crate) struct Statistics {
    coefficient: f32,
    /// Which differences of each source stay.
    kept: Vec<Band>,
}

impl MergeOp for GptailorBreadcrumbs {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[
            COEFFICIENT,
            Parameter::number("density", 0.0, 1.0, "Share of the differences that stays."),
            Parameter::number("mask_rate", 0.0, 1.0, "Share of the smallest that goes; at most 1 - density."),
        ];
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            identity: Identity::BaseWhere("coefficient", 0.0),
            ..MethodSpec::new("gptailor_breadcrumbs", "The base plus the differences between two k-th magnitudes.")
        }
    }

    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        let (density, rate) = (settings.number("density")?, settings.number("mask_rate")?);
        let fits = rate <= 1.0 - density + 1e-9;
        if fits { Ok(()) } else { Err(settings.wrong("mask_rate", rate, "between 0 and 1 - density")) }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let (n, settings) = (inputs.elements(), &inputs.settings);
        let count = |share: f64| (n as f64 * share) as usize;
        let low = count(settings.number("mask_rate")?);
        let high = count(1.0 - settings.number("density")?).saturating_sub(low);
        let band = |source| {
            let read = |range: Range<usize>| inputs.difference(source, range);
            Band { from: Edge::at_kth(n, low, false, &read), to: Edge::at_kth(n, n - high, true, &read) }
        };
        let kept = (0..inputs.sources.len()).map(band).collect();
        Ok(Statistics { coefficient: settings.number("coefficient")? as f32, kept })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let kept =
            differences.into_iter().zip(&statistics.kept).map(|(difference, band)| band.apply(difference, piece.start));
        let mix = piece.round(piece.sum(kept)?.mul_scalar(statistics.coefficient));
        Ok(piece.round(base.add(&mix)))
    }
}
