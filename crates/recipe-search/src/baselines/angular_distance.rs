//! PruneMe (Gromov et al. 2024): the block of neighbours of smallest angular distance goes.

use std::collections::BTreeSet;

use tailor_registry::Entry;

use super::hidden_states::cosine;
use super::{BaselineMethod, BaselineModel, CalibrationData, HiddenStates, Removal};
use crate::Error;

/// PruneMe: one pass over the calibration text for all numbers of layers.
pub(super) struct AngularDistance;

impl Entry for AngularDistance {
    fn name(&self) -> &str {
        "angular_distance"
    }

    fn summary(&self) -> &str {
        "The block of neighbouring layers between whose ends the residual stream turns least (PruneMe)."
    }
}

impl BaselineMethod for AngularDistance {
    fn label(&self) -> &str {
        "angular distance (PruneMe)"
    }

    fn reads(&self) -> CalibrationData {
        CalibrationData::HiddenStates
    }

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
        let (hidden, keep) = (model.hidden_states()?, model.sink_makers()?);
        Ok(counts.iter().map(|k| vec![remove_by_angular_distance(hidden, *k, &keep).into()]).collect())
    }
}

/// The angular distance over blocks of `k` layers, `d(l) = mean over sequences of arccos(cos(h_l, h_{l+k})) / pi` at
/// the last token (Gromov et al. 2024, eq. 6; PruneMe). Entry `l` is the block `l..l + k`.
#[must_use]
pub fn angular_distances(hidden: &HiddenStates, k: usize) -> Vec<f64> {
    let blocks = (hidden.layers() + 1).saturating_sub(k);
    (0..blocks)
        .map(|layer| {
            let angle = |token: &usize| cosine(hidden.row(layer, *token), hidden.row(layer + k, *token)).acos();
            let sum: f64 = hidden.last_tokens.iter().map(angle).sum();
            sum / std::f64::consts::PI / hidden.last_tokens.len().max(1) as f64
        })
        .collect()
}

/// PruneMe's removal: the block of `k` neighbouring layers of smallest angular distance, of those with the fewest
/// layers of `keep` in them. As in PruneMe, which compares outputs of layers only, the block never begins at layer 0
/// (unless the others have more layers of `keep`, or there are none).
#[must_use]
pub fn remove_by_angular_distance(hidden: &HiddenStates, k: usize, keep: &BTreeSet<usize>) -> Vec<usize> {
    let distances = angular_distances(hidden, k);
    let kept = |start: &usize| keep.range(*start..start + k).count();
    let rank = |start: &usize| (kept(start), *start == 0);
    let better = |a: &usize, b: &usize| rank(a).cmp(&rank(b)).then(distances[*a].total_cmp(&distances[*b]));
    let start = (0..distances.len()).min_by(better).unwrap_or(0);
    (start..start + k).collect()
}

#[cfg(test)]
mod tests {
    use super::super::hidden_states::tests::turning;
    use super::*;

    #[test]
    fn angular_distance_is_the_angle_over_pi() {
        let found = angular_distances(&turning(&[30.0, 60.0, 45.0]), 2);
        for (found, expected) in found.iter().zip([0.5, 105.0 / 180.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn pruneme_removes_the_flattest_block_but_never_layer_0() {
        let hidden = turning(&[1.0, 1.0, 80.0, 10.0, 10.0, 70.0]);
        assert_eq!(remove_by_angular_distance(&hidden, 2, &BTreeSet::new()), [3, 4]);
        assert_eq!(remove_by_angular_distance(&hidden, 2, &[4].into()), [1, 2], "the flattest block without layer 4");
        assert_eq!(remove_by_angular_distance(&hidden, 2, &[2, 4].into()), [0, 1], "all others have one of these");
        assert_eq!(remove_by_angular_distance(&hidden, 5, &[2, 5].into()), [0, 1, 2, 3, 4]);
    }
}
