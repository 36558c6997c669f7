//! Differences without the smallest and the largest, as GPTailor's reference.

use std::ops::Range;

use crate::select::{Band, Edge};
use crate::{Error, Inputs, MergeOp, Numbers, Piece, Settings, Signature};

/// `out = w0 + c sum_i d_i [kth(lo) <= |d_i| <= kth(n - hi)]` with `lo = int(n mask_rate)`, `hi = int(n (1 - density)) - lo` and c the
/// `coefficient`; both ends stay, with all their equals.
///
/// Unlike mergekit's `breadcrumbs` there are no weights, and k-th values instead of an exact number of elements. The reference's own
/// defaults (0.9, 0.8) ask for more to be cut than there is, so both must be given, with `mask_rate <= 1 - density`; `mask_rate` 0 fails there
/// and cuts nothing below here.
pub(crate) struct GptailorBreadcrumbs;

pub(crate) struct Known {
    coefficient: f32,
    kept: Vec<Band>,
}

impl MergeOp for GptailorBreadcrumbs {
    type Known = Known;

    fn check(&self, settings: &Settings<'_>) -> Result<(), Error> {
        let shared = &["coefficient", "density", "mask_rate"];
        settings.expect(&Signature { base: true, sources: 1..=usize::MAX, shared, own: &[] })?;
        let (density, rate) = (settings.required("density")?, settings.required("mask_rate")?);
        settings.in_range("density", density, (0.0..=1.0).contains(&density), "between 0 and 1")?;
        settings.in_range(
            "mask_rate",
            rate,
            (0.0..=1.0 - density + 1e-9).contains(&rate),
            "between 0 and 1 - density",
        )?;
        settings.required("coefficient").map(|_| ())
    }

    fn know(&self, inputs: &Inputs<'_>) -> Result<Known, Error> {
        let (n, settings) = (inputs.elements(), &inputs.settings);
        let count = |share: f64| (n as f64 * share) as usize;
        let low = count(settings.required("mask_rate")?);
        let high = count(1.0 - settings.required("density")?).saturating_sub(low);
        let band = |source| {
            let read = |range: Range<usize>| inputs.difference(source, range);
            Band { from: Edge::at_kth(n, low, false, &read), to: Edge::at_kth(n, n - high, true, &read) }
        };
        let kept = (0..inputs.sources.len()).map(band).collect();
        Ok(Known { coefficient: settings.required("coefficient")? as f32, kept })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, known: &Known) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        let kept =
            differences.into_iter().zip(&known.kept).map(|(difference, band)| band.apply(difference, piece.start));
        let mix = piece.round(piece.sum(kept)?.mul_scalar(known.coefficient));
        Ok(piece.round(base.add(&mix)))
    }
}
