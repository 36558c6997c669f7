//! The pruning search: layers go, and each other one is the base's, one candidate's, or a merge of several.
//!
//! A merge is the base plus a coefficient times the sum of the candidates' differences. With [`crate::BaseAt::Output`]
//! the base's layer is the one at the output's place, as in the reference.

use std::collections::{BTreeMap, BTreeSet};

use super::entries::{Entries, index};
use super::{Context, Kind, Problem};
use crate::{Error, LayerExpr, Merge, OuterTensors, OutputLayer, Recipe};

/// What a key says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    /// Its value is a layer that goes; its number only says which one of them.
    Remove,
    /// Its value is 0 or 1.
    Candidate { layer: usize, candidate: usize },
    /// Its value is a coefficient.
    MergeScale { layer: usize },
    /// Its value is a factor.
    OutputScale { layer: usize },
}

impl Key {
    /// `remove_idx_3`, `layer_5_candidate_1`, `layer_5_merge_scale_factor` or `layer_5_output_scale`.
    pub fn read(name: &str) -> Option<Self> {
        if let Some(rank) = name.strip_prefix("remove_idx_") {
            return index(rank).map(|_| Self::Remove);
        }
        let (layer, what) = name.strip_prefix("layer_")?.split_once('_')?;
        let layer = index(layer)?;
        match (what, what.strip_prefix("candidate_")) {
            (_, Some(candidate)) => Some(Self::Candidate { layer, candidate: index(candidate)? }),
            ("merge_scale_factor", _) => Some(Self::MergeScale { layer }),
            ("output_scale", _) => Some(Self::OutputScale { layer }),
            _ => None,
        }
    }
}

/// The recipe of a result.
pub(super) fn recipe(entries: &Entries, context: &Context) -> Result<Recipe, Error> {
    let layers = Layers::read(entries)?;
    layers.check(context)?;
    let mut recipe = Recipe::of_base(context.models.clone(), &context.base, 0);
    recipe.base_at = context.base_at;
    for &layer in &layers.kept {
        let scale = if context.output_scales { scale(entries, layer)? } else { 1.0 };
        recipe.layers.push(OutputLayer { scale, ..layers.expression(layer, context)?.into() });
    }
    if let (Some(first), Some(last)) = (recipe.layers.first(), recipe.layers.last()) {
        recipe.outer = OuterTensors::like(&first.from, &last.from);
    }
    Ok(recipe)
}

/// The factor of the residual stream after a layer.
fn scale(entries: &Entries, layer: usize) -> Result<f32, Error> {
    let key = format!("layer_{layer}_output_scale");
    let scale = entries.number(&key)?;
    if scale < super::dis::LEAST_SCALE { Err(entries.fail(key, Problem::NothingLeft)) } else { Ok(scale as f32) }
}

/// Which layers go, which stay, and how many candidates there are.
struct Layers<'a> {
    entries: &'a Entries,
    /// The layers that go, with the keys that say so.
    removed: BTreeMap<usize, &'a str>,
    kept: BTreeSet<usize>,
    /// The key of the highest layer.
    highest: Option<(usize, &'a str)>,
    /// The key of the last candidate.
    last_candidate: Option<(usize, &'a str)>,
}

impl<'a> Layers<'a> {
    /// Sorts all keys.
    fn read(entries: &'a Entries) -> Result<Self, Error> {
        let (removed, kept) = (BTreeMap::new(), BTreeSet::new());
        let mut layers = Self { entries, removed, kept, highest: None, last_candidate: None };
        for name in entries.keys() {
            let key = Key::read(name).ok_or_else(|| entries.fail(name, Problem::Unknown(Kind::Prune)))?;
            let layer = match key {
                Key::Remove => {
                    let layer = entries.whole(name, Problem::NoLayer)?;
                    if let Some(first) = layers.removed.insert(layer, name) {
                        let first = first.to_owned();
                        return Err(entries.fail(name, Problem::RemovedTwice { layer, first }));
                    }
                    layer
                }
                Key::Candidate { layer, candidate } => {
                    entries.flag(name)?;
                    layers.last_candidate = layers.last_candidate.max(Some((candidate, name)));
                    layers.kept.insert(layer);
                    layer
                }
                Key::MergeScale { layer } | Key::OutputScale { layer } => {
                    entries.number(name)?;
                    layers.kept.insert(layer);
                    layer
                }
            };
            layers.highest = layers.highest.max(Some((layer, name)));
        }
        Ok(layers)
    }

    /// Whether removed and kept layers make up the base, and the candidates are those of the context.
    fn check(&self, context: &Context) -> Result<(), Error> {
        let entries = self.entries;
        if let Some((last, key)) = self.last_candidate
            && last + 1 != context.candidates.len()
        {
            let (found, given) = (last + 1, context.candidates.len());
            return Err(entries.fail(key, Problem::Candidates { found, given }));
        }
        let layers = context.layers.unwrap_or(self.highest.map_or(0, |(layer, _)| layer + 1));
        if let Some((layer, key)) = self.highest.filter(|(layer, _)| *layer >= layers) {
            return Err(entries.fail(key, Problem::BeyondBase { layer, layers }));
        }
        for layer in 0..layers {
            let key = format!("layer_{layer}_candidate_0");
            match (self.removed.get(&layer), self.kept.contains(&layer)) {
                (Some(by), true) => return Err(entries.fail(key, Problem::Removed { by: (*by).to_owned() })),
                (None, false) => return Err(entries.fail(key, Problem::NotRemoved)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a kept layer is made of: the base, one candidate, or a merge of several.
    fn expression(&self, layer: usize, context: &Context) -> Result<LayerExpr, Error> {
        let mut chosen = Vec::new();
        for (candidate, model) in context.candidates.iter().enumerate() {
            if self.entries.flag(&format!("layer_{layer}_candidate_{candidate}"))? {
                chosen.push(model);
            }
        }
        Ok(match *chosen.as_slice() {
            [] => OutputLayer::take(&context.base, layer).from,
            [model] => OutputLayer::take(model, layer).from,
            _ => {
                let coefficient = self.entries.number(&format!("layer_{layer}_merge_scale_factor"))?;
                let merge = Merge::new("gptailor_task_arithmetic").with("coefficient", coefficient);
                LayerExpr::Merge(chosen.into_iter().fold(merge, |merge, model| merge.source(model, layer)))
            }
        })
    }
}
