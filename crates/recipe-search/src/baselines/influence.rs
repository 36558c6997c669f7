//! Which layers change the residual stream least: block influence (ShortGPT) and angular distance (PruneMe).

/// The residual stream of calibration tokens: before layer 0, and after each layer.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    /// One matrix `[tokens, width]` for each of the `layers + 1` places, not normalised.
    pub states: Vec<Vec<f32>>,
    /// The hidden size.
    pub width: usize,
    /// The row of each sequence's last token.
    pub last_tokens: Vec<usize>,
}

impl HiddenStates {
    fn row(&self, place: usize, token: usize) -> &[f32] {
        &self.states[place][token * self.width..(token + 1) * self.width]
    }

    fn tokens(&self) -> usize {
        self.states.first().map_or(0, |state| state.len() / self.width.max(1))
    }

    fn layers(&self) -> usize {
        self.states.len().saturating_sub(1)
    }
}

/// The cosine of two vectors in f64, 0 if one is zero.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { (dot(a, b) / norms).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Block influence: `BI_l = 1 - mean over tokens of cos(h_l, h_{l+1})` (ShortGPT, Men et al. 2024, eq. 1).
#[must_use]
pub fn block_influence(hidden: &HiddenStates) -> Vec<f64> {
    let tokens = hidden.tokens();
    (0..hidden.layers())
        .map(|layer| {
            let sum: f64 =
                (0..tokens).map(|token| cosine(hidden.row(layer, token), hidden.row(layer + 1, token))).sum();
            1.0 - sum / tokens.max(1) as f64
        })
        .collect()
}

/// ShortGPT's removal: the `k` layers of smallest block influence, scored once on the whole model.
#[must_use]
pub fn remove_by_block_influence(hidden: &HiddenStates, k: usize) -> Vec<usize> {
    let influence = block_influence(hidden);
    let mut order: Vec<usize> = (0..influence.len()).collect();
    order.sort_by(|a, b| influence[*a].total_cmp(&influence[*b]).then(a.cmp(b)));
    order.truncate(k);
    order.sort_unstable();
    order
}

/// The angular distance over blocks of `k` layers, `d(l) = mean over sequences of arccos(cos(h_l, h_{l+k})) / pi` at the last
/// token (Gromov et al. 2024, eq. 6; PruneMe). Entry `l` is the block `l..l + k`.
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

/// PruneMe's removal: the block of `k` neighbouring layers of smallest angular distance. As in PruneMe, which compares outputs of
/// layers only, the block never begins at layer 0 (unless it could begin nowhere else).
#[must_use]
pub fn remove_by_angular_distance(hidden: &HiddenStates, k: usize) -> Vec<usize> {
    let distances = angular_distances(hidden, k);
    let start = (1..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b))).unwrap_or(0);
    (start..start + k).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tokens in a plane; the angle by which each layer turns them, in degrees.
    fn turning(degrees: &[f64]) -> HiddenStates {
        let mut angle = 0.0_f64;
        let mut states = vec![vec![1.0, 0.0, 0.0, 2.0]];
        for turn in degrees {
            angle += turn.to_radians();
            let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
            states.push(vec![cos, sin, -2.0 * sin, 2.0 * cos]);
        }
        HiddenStates { states, width: 2, last_tokens: vec![0, 1] }
    }

    #[test]
    fn block_influence_is_one_minus_the_cosine_of_the_turn() {
        let found = block_influence(&turning(&[60.0, 90.0, 0.0]));
        for (found, expected) in found.iter().zip([0.5, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn shortgpt_removes_the_layers_that_turn_least() {
        assert_eq!(remove_by_block_influence(&turning(&[40.0, 5.0, 30.0, 2.0, 50.0]), 2), [1, 3]);
    }

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
