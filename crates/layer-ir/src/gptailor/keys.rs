//! The parameters of the pruning search, sorted by layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;

/// What is chosen for all layers.
#[derive(Default)]
pub(super) struct Choices {
    /// The layers that go.
    pub removed: BTreeSet<usize>,
    /// The others, in order.
    pub layers: BTreeMap<usize, Choice>,
}

/// What is chosen for one kept layer.
#[derive(Default)]
pub(super) struct Choice {
    /// Which candidates take part.
    pub candidates: BTreeMap<usize, bool>,
    /// The coefficient of a merge.
    pub merge_scale: Option<f64>,
    /// Factor of the residual stream after the layer.
    pub output_scale: Option<f64>,
}

/// What a key says.
enum Key {
    /// Its value is a layer that goes; its number only says which one of them.
    Remove,
    /// Its value is 0 or 1.
    Candidate { layer: usize, candidate: usize },
    /// Its value is a coefficient.
    MergeScale { layer: usize },
    /// Its value is a factor.
    OutputScale { layer: usize },
}

impl Choices {
    /// Sorts all parameters of a file. A key that the pruning search does not have is an error that says which search
    /// has it.
    pub fn read(found: &Map<String, Value>, file: &Path) -> Result<Self, Error> {
        let mut choices = Self::default();
        for (name, value) in found {
            choices.add(name, value).map_err(|problem| {
                let (file, key) = (file.to_owned(), name.clone());
                Error::Gptailor { file, key, problem }
            })?;
        }
        Ok(choices)
    }

    /// Adds one parameter; the error says what is wrong with it.
    fn add(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        let key = Key::read(name).ok_or_else(|| problem(name))?;
        let number = number(value).ok_or("is no number")?;
        match key {
            Key::Remove => {
                let layer = index(number).ok_or("is no layer")?;
                if !self.removed.insert(layer) {
                    return Err("names a layer that is removed already");
                }
            }
            Key::Candidate { layer, candidate } => {
                let chosen = match number {
                    0.0 => false,
                    1.0 => true,
                    _ => return Err("is neither 0 nor 1"),
                };
                self.layer(layer).candidates.insert(candidate, chosen);
            }
            Key::MergeScale { layer } => self.layer(layer).merge_scale = Some(number),
            Key::OutputScale { layer } => self.layer(layer).output_scale = Some(number),
        }
        Ok(())
    }

    /// What is chosen for a layer, to be added to.
    fn layer(&mut self, layer: usize) -> &mut Choice {
        self.layers.entry(layer).or_default()
    }

    /// The highest layer that is named.
    pub fn highest(&self) -> Option<usize> {
        self.removed.last().max(self.layers.keys().last()).copied()
    }
}

impl Key {
    /// What a name says: `remove_idx_3`, `layer_5_candidate_1`, `layer_5_merge_scale_factor` or `layer_5_output_scale`.
    fn read(name: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().and_then(index);
        if let Some(rank) = name.strip_prefix("remove_idx_") {
            return number(rank).map(|_| Self::Remove);
        }
        let (layer, what) = name.strip_prefix("layer_")?.split_once('_')?;
        let layer = number(layer)?;
        match (what, what.strip_prefix("candidate_")) {
            (_, Some(candidate)) => Some(Self::Candidate { layer, candidate: number(candidate)? }),
            ("merge_scale_factor", _) => Some(Self::MergeScale { layer }),
            ("output_scale", _) => Some(Self::OutputScale { layer }),
            _ => None,
        }
    }
}

/// Why a key is none of the pruning search.
fn problem(name: &str) -> &'static str {
    if name.contains("_block_") || name.contains("_permutation_selection") || name.starts_with("scale_") {
        "belongs to the search over stacked layers (DIS), which is not supported"
    } else if name.starts_with("layer_selection_method_") || name.contains("_paramset_") {
        "belongs to the layer-wise fusion search (LFS), which is not supported"
    } else {
        "is no parameter of the pruning search"
    }
}

/// A finite number, also one that is written as a text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A whole number of which there may be layers.
fn index(number: f64) -> Option<usize> {
    (number >= 0.0 && number.fract() == 0.0 && number < 1e5).then_some(number as usize)
}
