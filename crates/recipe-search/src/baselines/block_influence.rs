//! ShortGPT (Men et al. 2024): the layers of smallest block influence go.

use std::collections::BTreeSet;

use tailor_registry::Entry;

use super::hidden_states::cosine;
use super::{BaselineMethod, BaselineModel, CalibrationData, HiddenStates, Removal};
use crate::Error;

/// ShortGPT: one pass over the calibration text for all numbers of layers.
pub(super) struct BlockInfluence;

impl Entry for BlockInfluence {
    fn name(&self) -> &str {
        "block_influence"
    }

    fn summary(&self) -> &str {
        "The layers that change the residual stream least, by its cosine (ShortGPT)."
    }
}

impl BaselineMethod for BlockInfluence {
    fn label(&self) -> &str {
        "block influence (ShortGPT)"
    }

    fn reads(&self) -> CalibrationData {
        CalibrationData::HiddenStates
    }

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
        let (hidden, keep) = (model.hidden_states()?, model.sink_makers()?);
        Ok(counts.iter().map(|k| vec![remove_by_block_influence(hidden, *k, &keep).into()]).collect())
    }
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

/// ShortGPT's removal: the `k` layers of smallest block influence, scored once on the whole model. The layers in `keep`
/// go only when no others are left, whatever their influence: one that makes an attention sink changes one token of a
/// text, which a mean over tokens does not show.
#[must_use]
pub fn remove_by_block_influence(hidden: &HiddenStates, k: usize, keep: &BTreeSet<usize>) -> Vec<usize> {
    let influence = block_influence(hidden);
    let mut order: Vec<usize> = (0..influence.len()).collect();
    let kept = |layer: &usize| keep.contains(layer);
    order.sort_by(|a, b| kept(a).cmp(&kept(b)).then(influence[*a].total_cmp(&influence[*b])).then(a.cmp(b)));
    order.truncate(k);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::super::hidden_states::tests::turning;
    use super::*;

    #[test]
    fn block_influence_is_one_minus_the_cosine_of_the_turn() {
        let found = block_influence(&turning(&[60.0, 90.0, 0.0]));
        for (found, expected) in found.iter().zip([0.5, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn shortgpt_removes_the_layers_that_turn_least() {
        let hidden = turning(&[40.0, 5.0, 30.0, 2.0, 50.0]);
        assert_eq!(remove_by_block_influence(&hidden, 2, &BTreeSet::new()), [1, 3]);
        assert_eq!(remove_by_block_influence(&hidden, 2, &[3].into()), [1, 2]);
        assert_eq!(remove_by_block_influence(&hidden, 5, &[3].into()), [0, 1, 2, 3, 4]);
    }
}
