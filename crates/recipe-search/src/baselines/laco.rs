//! LaCo (Yang et al. 2024, arXiv 2402.11187): layers are folded into the one before them while the model's last hidden
//! states stay alike.
//!
//! The paper's formula, `W*_l = W_l + Σ_{j=1..m} (W_{l+j} - W_l)` for every weight of a layer. The published notebook
//! adds the differences to a copy that it has already changed, which leaves the projections of layer `l + m` alone: a
//! plain removal, and not what the paper says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use layer_ir::OuterTensor;
use tailor_registry::Entry;

use super::hidden_states::cosine;
use super::{BaselineMethod, BaselineModel, CalibrationData, HiddenStates, Removal};
use crate::Error;

/// LaCo: about as many passes over the calibration text as the model has layers, times the merges.
pub(super) struct LayerCollapse;

impl Entry for LayerCollapse {
    fn name(&self) -> &str {
        "laco"
    }

    fn summary(&self) -> &str {
        "Layers are folded into the one before them while the last hidden states stay alike (LaCo)."
    }
}

impl BaselineMethod for LayerCollapse {
    fn label(&self) -> &str {
        "layer collapse (LaCo)"
    }

    fn reads(&self) -> CalibrationData {
        CalibrationData::Tokens
    }

    fn removals(&self, model: &BaselineModel<'_>, counts: &[usize]) -> Result<Vec<Vec<Removal>>, Error> {
        let mut likeness = Likeness::of(model)?;
        let keep = model.sink_makers()?;
        let layers = model.whole.layers.len();
        let mut removals = Vec::new();
        for count in counts {
            let mut find = |start: usize, keep: &BTreeSet<usize>| {
                let from = Places { layers, window: window(layers), start };
                collapse(from, *count, keep, &mut |removal| likeness.after(removal))
            };
            // As published; then from the last layer but one on; then whatever makes a sink.
            let (published, last) = (layers.saturating_sub(window(layers) + 2), layers.saturating_sub(2));
            let mut found = find(published, &keep)?;
            for keep in [&keep, &BTreeSet::new()] {
                if found.is_none() {
                    found = find(last, keep)?;
                }
            }
            removals.push(found.into_iter().collect());
        }
        Ok(removals)
    }
}

/// How many layers are folded into one at most: the share of the published run, 6 of 40 layers.
fn window(layers: usize) -> usize {
    (3 * layers).div_ceil(20).max(1)
}

/// Where layers are folded.
#[derive(Clone, Copy)]
struct Places {
    /// Layers of the model.
    layers: usize,
    /// So many at most are folded into one.
    window: usize,
    /// The layer into which others are folded first.
    start: usize,
}

/// Folds `count` layers away, none of `keep`, at the highest threshold of likeness at which so many go; none if there
/// is no such threshold.
///
/// As in the published run, layers are looked at from the last ones to the first: where folding the next layers into
/// one leaves a model that is likely enough, they are, and the next place is one layer further down. The paper sets the
/// threshold and takes the number of layers that comes of it; here the number is set.
fn collapse(
    from: Places,
    count: usize,
    keep: &BTreeSet<usize>,
    likeness: &mut dyn FnMut(&Removal) -> Result<f64, Error>,
) -> Result<Option<Removal>, Error> {
    // Nothing is accepted at first, and then the best of what was not.
    let mut threshold = f64::INFINITY;
    loop {
        let (mut model, mut refused) = (Collapsed::whole(from.layers), f64::NEG_INFINITY);
        for place in (0..=from.start).rev() {
            let next = from.window.min(count - model.gone()).min(model.0.len().saturating_sub(place + 1));
            if next == 0 || model.has(place + 1..=place + next, keep) {
                continue;
            }
            let folded = model.fold(place, next);
            let alike = likeness(&folded.removal())?;
            if alike >= threshold {
                model = folded;
            } else {
                refused = refused.max(alike);
            }
        }
        if model.gone() == count {
            return Ok(Some(model.removal()));
        }
        if refused == f64::NEG_INFINITY {
            return Ok(None);
        }
        threshold = refused;
    }
}

/// The layers of a model that was collapsed in part: each its own number and the weighted sum of layers that it is.
#[derive(Clone)]
struct Collapsed(Vec<(usize, BTreeMap<usize, f64>)>, usize);

impl Collapsed {
    fn whole(layers: usize) -> Self {
        Self((0..layers).map(|layer| (layer, BTreeMap::from([(layer, 1.0)]))).collect(), layers)
    }

    /// How many layers are gone.
    fn gone(&self) -> usize {
        self.1 - self.0.len()
    }

    /// Whether one of the layers at these places is in `keep`.
    fn has(&self, mut places: std::ops::RangeInclusive<usize>, keep: &BTreeSet<usize>) -> bool {
        places.any(|place| self.0.get(place).is_some_and(|(layer, _)| keep.contains(layer)))
    }

    /// The same with the `next` layers behind `place` folded into the one there: `(1 - m) W_l + Σ W_{l+j}`.
    fn fold(&self, place: usize, next: usize) -> Self {
        let mut layers = self.0.clone();
        let gone: Vec<_> = layers.drain(place + 1..place + 1 + next).collect();
        let (_, sum) = &mut layers[place];
        for weight in sum.values_mut() {
            *weight *= 1.0 - next as f64;
        }
        for (layer, weight) in gone.into_iter().flat_map(|(_, parts)| parts) {
            *sum.entry(layer).or_insert(0.0) += weight;
        }
        sum.retain(|_, weight| *weight != 0.0);
        Self(layers, self.1)
    }

    fn removal(&self) -> Removal {
        let kept: BTreeSet<usize> = self.0.iter().map(|(layer, _)| *layer).collect();
        let is_own = |layer: &usize, sum: &BTreeMap<usize, f64>| sum.len() == 1 && sum.get(layer) == Some(&1.0);
        let folded = self.0.iter().filter(|(layer, sum)| !is_own(layer, sum));
        Removal {
            removed: (0..self.1).filter(|layer| !kept.contains(layer)).collect(),
            folded: folded
                .map(|(layer, sum)| (*layer, sum.iter().map(|(layer, weight)| (*layer, *weight)).collect()))
                .collect(),
        }
    }
}

/// How alike the last hidden states of a model are before and after a removal.
struct Likeness<'a> {
    model: &'a BaselineModel<'a>,
    /// Weights of the final norm, `[hidden]`.
    norm: Vec<f32>,
    /// Of each sequence the whole model's hidden states after the final norm.
    whole: Vec<Vec<f32>>,
    known: HashMap<String, f64>,
}

impl<'a> Likeness<'a> {
    fn of(model: &'a BaselineModel<'_>) -> Result<Self, Error> {
        let checkpoint = model.family.get(&model.name)?;
        let norm = match checkpoint.outer_name(OuterTensor::FinalNorm) {
            Some(name) => checkpoint.tensor(name)?.to_f32(),
            None => Vec::new(),
        };
        let mut likeness = Self { model, norm, whole: Vec::new(), known: HashMap::new() };
        likeness.whole = likeness.last_states(&Removal::default())?;
        Ok(likeness)
    }

    /// The mean over the sequences of the cosine of the last hidden states, all tokens of a sequence as one vector.
    fn after(&mut self, removal: &Removal) -> Result<f64, Error> {
        let key = format!("{removal:?}");
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let states = self.last_states(removal)?;
        let sum: f64 = self.whole.iter().zip(&states).map(|(whole, own)| cosine(whole, own)).sum();
        let alike = sum / states.len().max(1) as f64;
        self.known.insert(key, alike);
        Ok(alike)
    }

    /// The hidden states after the final norm, of each sequence `[tokens, hidden]`, flat.
    fn last_states(&self, removal: &Removal) -> Result<Vec<Vec<f32>>, Error> {
        let BaselineModel { whole, family, runtime, calibration, name, .. } = self.model;
        let recipe = removal.of(whole, name).validate(family, runtime.registry())?;
        let states = HiddenStates::of(&mut runtime.model(recipe)?, calibration)?;
        let last = states.layers();
        let mut next = 0;
        let of_sequence = |end: &usize| {
            let tokens = std::mem::replace(&mut next, end + 1)..=*end;
            tokens.flat_map(|token| normed(states.row(last, token), &self.norm)).collect()
        };
        Ok(states.last_tokens.iter().map(of_sequence).collect())
    }
}

/// A row of the residual stream after RMSNorm; without weights where a model has none of its own.
fn normed(row: &[f32], weights: &[f32]) -> Vec<f32> {
    let squares: f32 = row.iter().map(|value| value * value).sum();
    let scale = (squares / row.len().max(1) as f32).sqrt().max(f32::MIN_POSITIVE).recip();
    let weights = weights.iter().copied().chain(std::iter::repeat(1.0));
    row.iter().zip(weights).map(|(value, weight)| scale * value * weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alike as far as the sum of what goes, with a layer's number as what it does: the later, the more it does.
    fn by_number(removal: &Removal) -> Result<f64, Error> {
        Ok(1.0 - removal.removed.iter().sum::<usize>() as f64 / 100.0)
    }

    #[test]
    fn a_fold_is_the_papers_sum_also_of_layers_that_were_folded_before() {
        let once = Collapsed::whole(6).fold(2, 2);
        let folded = |model: &Collapsed, layer| {
            model.removal().folded.iter().find(|(folded, _)| *folded == layer).map(|(_, sum)| sum.clone())
        };
        assert_eq!(folded(&once, 2), Some(vec![(2, -1.0), (3, 1.0), (4, 1.0)]));
        assert_eq!(once.removal().removed, [3, 4]);
        // W_1 + (W_2* - W_1) = W_2*.
        let twice = once.fold(1, 1);
        assert_eq!(folded(&twice, 1), Some(vec![(2, -1.0), (3, 1.0), (4, 1.0)]));
        assert_eq!(twice.removal().removed, [2, 3, 4]);
        assert_eq!((twice.gone(), Collapsed::whole(6).removal()), (3, Removal::default()));
    }

    #[test]
    fn so_many_layers_go_at_the_highest_threshold_that_allows_it() -> Result<(), Error> {
        let from = Places { layers: 9, window: 2, start: 5 };
        for count in 0..8 {
            let found = collapse(from, count, &BTreeSet::new(), &mut by_number)?;
            assert_eq!(found.map(|removal| removal.removed.len()), Some(count));
        }
        // One layer: that whose removal leaves the most.
        let found = collapse(from, 1, &BTreeSet::new(), &mut by_number)?.unwrap_or_default();
        assert_eq!((found.removed, found.folded), (vec![1], vec![(0, vec![(1, 1.0)])]));
        let found = collapse(from, 1, &[1].into(), &mut by_number)?.unwrap_or_default();
        assert_eq!(found.removed, [2], "layer 1 is to stay");
        let few = Places { layers: 3, window: 2, start: 1 };
        assert_eq!(collapse(few, 2, &[1, 2].into(), &mut by_number)?, None, "all that could go is to stay");
        Ok(())
    }
}
