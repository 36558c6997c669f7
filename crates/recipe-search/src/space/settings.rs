//! What a study says of the prune space: the table `[space]`.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use layer_ir::{BaseAt, Checkpoint, Cost};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::study::value;

/// The GPTailor prune space: some layers go, each remaining one is taken or merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceSettings {
    /// How many layers go: a number, or a range `[least, most]`.
    pub remove: Remove,
    /// At most so many weights are left; with a range of removals, this raises the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parameters: Option<u64>,
    /// At most so many bytes of weights are left, in the dtype of the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Range of the task-arithmetic coefficient of a merged layer.
    #[serde(default = "unit_range")]
    pub coefficient: [f64; 2],
    /// Range of the output scales; absent: every scale is 1 (searching them costs more than it gives).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<[f64; 2]>,
    /// At which index a merged layer reads the base: `source`, or `output` as the Python reference does.
    #[serde(default)]
    pub base_at: BaseAt,
    /// Where embedding, final norm and head come from.
    #[serde(default)]
    pub ends: EndsSetting,
}

impl SpaceSettings {
    /// How many layers may go from models like `base`: what `remove` allows and the budgets demand. `file` is named in the error.
    ///
    /// All layers are alike, so that a budget of weights is a least number of layers that go.
    ///
    /// # Errors
    /// [`Error::StudyValue`] when no layer would be left, or when no allowed number of layers fits a budget.
    pub fn removals(&self, base: &Checkpoint, file: &Path) -> Result<RangeInclusive<usize>, Error> {
        let (least, most, layers) = (self.remove.least(), self.remove.most(), base.num_layers());
        if most >= layers {
            let expected = format!("below the {layers} layers of the models");
            return Err(value(file, "space.remove", self.remove, expected));
        }
        let cost = |removed: usize| Cost::of_checkpoint(base, layers - removed, base.dtype());
        let size =
            |key: &str, removed| if key == "space.max_bytes" { cost(removed).bytes } else { cost(removed).parameters };
        let mut sizes = least..=most;
        for (key, budget) in [("space.max_parameters", self.max_parameters), ("space.max_bytes", self.max_bytes)] {
            let Some(budget) = budget else { continue };
            let Some(least) = sizes.clone().find(|removed| size(key, *removed) <= budget) else {
                let left = size(key, most);
                let expected = format!("at least {left}, what is left when {most} layers go, or `space.remove` larger");
                return Err(value(file, key, budget, expected));
            };
            sizes = least..=most;
        }
        Ok(sizes)
    }
}

/// How many layers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of layers, or a range `[least, most]` of them")]
pub enum Remove {
    /// This number.
    Exactly(usize),
    /// At least the first and at most the second number.
    Between([usize; 2]),
}

impl Remove {
    /// The smallest number of layers that may go.
    #[must_use]
    pub fn least(self) -> usize {
        match self {
            Self::Exactly(count) | Self::Between([count, _]) => count,
        }
    }

    /// The largest number of layers that may go.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Exactly(count) | Self::Between([_, count]) => count,
        }
    }
}

impl fmt::Display for Remove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::Between([least, most]) => write!(f, "[{least}, {most}]"),
        }
    }
}

/// Where embedding, final norm and head come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndsSetting {
    /// Two dimensions of the space: the embedding's and the head's source (any model, or the variants' mean).
    #[default]
    Search,
    /// The embedding as the first output layer is made, norm and head as the last one (the Python reference).
    Follow,
    /// All three from the base.
    Base,
}

fn unit_range() -> [f64; 2] {
    [0.0, 1.0]
}
