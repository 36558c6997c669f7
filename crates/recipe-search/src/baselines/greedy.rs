//! SLEB (Song et al. 2024): one layer after the other goes, that whose loss raises the perplexity least.

use std::ops::Range;

use tailor_registry::Entry;
use task_eval::{LanguageModel, ScoreRequest};

use super::{BaselineMethod, BaselineModel, CalibrationData, Removal};
use crate::Error;
use crate::screening::all_but_first;

/// SLEB: for `k` layers of `n`, about `k · n` passes over the calibration text.
pub(super) struct Greedy;

impl Entry for Greedy {
    fn name(&self) -> &str {
        "greedy"
    }

    fn summary(&self) -> &str {
        "One after the other, the layer whose removal leaves the smallest perplexity (SLEB)."
    }
}

impl BaselineMethod for Greedy {
    fn label(&self) -> &str {
        "greedy by perplexity (SLEB)"
    }

    fn reads(&self) -> CalibrationData {
        CalibrationData::Tokens
    }

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
        let most = counts.iter().copied().max().unwrap_or(0);
        let order = greedy_removal(model, most)?;
        let first = |k: &usize| {
            let mut removed = order[..(*k).min(order.len())].to_vec();
            removed.sort_unstable();
            vec![removed.into()]
        };
        Ok(counts.iter().map(first).collect())
    }
}

/// SLEB: `k` times the layer whose removal leaves the smallest perplexity goes; the first and the last layer alive
/// stay, unless all between them make an attention sink: such layers go only when no others are left. In the order of
/// their going, so that the first ones are what a smaller `k` would give.
fn greedy_removal(model: &BaselineModel<'_>, k: usize) -> Result<Vec<usize>, Error> {
    let BaselineModel { runtime, family, whole, calibration, .. } = model;
    let keep = model.sink_makers()?;
    let requests: Vec<ScoreRequest> = calibration.iter().map(|tokens| all_but_first(tokens)).collect();
    let mut alive: Vec<usize> = (0..whole.layers.len()).collect();
    let mut gone = Vec::with_capacity(k);
    for _ in 0..k {
        let inner = 1..alive.len().saturating_sub(1).max(2).min(alive.len());
        let free = |places: Range<usize>| -> Vec<usize> {
            places.filter(|position| !keep.contains(&alive[*position])).collect()
        };
        let choices = [free(inner.clone()), free(0..alive.len()), inner.collect()];
        let candidates = choices.into_iter().find(|positions| !positions.is_empty()).unwrap_or_default();
        let Some(first) = candidates.first() else { break };
        let mut best = (f64::NEG_INFINITY, *first);
        for position in candidates {
            let mut recipe = whole.clone();
            recipe.layers = alive
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != position)
                .map(|(_, layer)| whole.layers[*layer].clone())
                .collect();
            let mut model = runtime.model(recipe.validate(family, &())?)?;
            let scores =
                model.score(&requests).map_err(|source| Error::Model { what: "greedy removal".into(), source })?;
            let total: f64 = scores.iter().map(|score| score.log_likelihood).sum();
            if total > best.0 {
                best = (total, position);
            }
        }
        gone.push(alive.remove(best.1));
    }
    Ok(gone)
}
