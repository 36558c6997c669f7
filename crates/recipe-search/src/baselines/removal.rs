//! What a baseline does to a model.

use layer_ir::{Merge, OutputLayer, Recipe};
use serde::{Deserialize, Serialize};

/// The layers of a model that go, and those that what goes is folded into.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// The layers that go, ascending.
    pub removed: Vec<usize>,
    /// Layers that stay and become a weighted sum of the model's layers: each with layer numbers and weights. All
    /// others stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folded: Vec<(usize, Vec<(usize, f64)>)>,
}

impl From<Vec<usize>> for Removal {
    /// Layers that go, ascending, and are folded into none.
    fn from(removed: Vec<usize>) -> Self {
        Self { removed, folded: Vec::new() }
    }
}

impl FromIterator<usize> for Removal {
    /// Layers that go, ascending, and are folded into none.
    fn from_iter<T: IntoIterator<Item = usize>>(removed: T) -> Self {
        removed.into_iter().collect::<Vec<_>>().into()
    }
}

impl Removal {
    /// The recipe of a model after the removal; `whole` is its recipe as it is, `model` its name.
    #[must_use]
    pub(super) fn of(&self, whole: &Recipe, model: &str) -> Recipe {
        let layers = whole.layers.iter().enumerate().filter(|(layer, _)| !self.removed.contains(layer));
        let sum = |layer| self.folded.iter().find(|(folded, _)| *folded == layer).map(|(_, sum)| fold(model, sum));
        let layers = layers.map(|(layer, own)| sum(layer).unwrap_or_else(|| own.clone()));
        Recipe { layers: layers.collect(), ..whole.clone() }
    }
}

/// A weighted sum of a model's layers.
fn fold(model: &str, sum: &[(usize, f64)]) -> OutputLayer {
    let merge = Merge::new("linear").with("normalize", false);
    let add = |merge: Merge<_>, (layer, weight): &(usize, f64)| merge.weighted_source(model, *layer, *weight);
    OutputLayer::merge(sum.iter().fold(merge, add))
}
