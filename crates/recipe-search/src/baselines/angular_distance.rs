//! PruneMe (Gromov et al. 2024): the block of neighbours of smallest angular distance goes.

use tailor_registry::Entry;

use super::hidden_states::cosine;
use super::{BaselineMethod, BaselineModel, CalibrationData, HiddenStates};
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

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Vec<usize>>>, Error> {
        let hidden = model.hidden_states()?;
        Ok(counts.iter().map(|k| vec![remove_by_angular_distance(hidden, *k)]).collect())
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

/// PruneMe's removal: the block of `k` neighbouring layers of smallest angular distance. As in PruneMe, which
/// compares outputs of layers only, the block never begins at layer 0 (unless it could begin nowhere else).
#[must_use]
pub fn remove_by_angular_distance(hidden: &HiddenStates, k: usize) -> Vec<usize> {
    let distances = angular_distances(hidden, k);
    let start = (1..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b))).unwrap_or(0);
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
        assert_eq!(remove_by_angular_distance(&turning(&[1.0, 1.0, 80.0, 10.0, 10.0, 70.0]), 2), [3, 4]);
    }
}
