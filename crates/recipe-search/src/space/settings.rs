//! What a study says of its space: the table `[space]`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tailor_registry::Choice;

/// How a layer before removed ones is mended: `space.bridge`. In closed form, from sums over calibration text
/// ([`bridges`](crate::bridges)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BridgeMethod {
    /// Not at all.
    Off,
    /// Its down projection is refitted freely ([`Statistics::refit`](crate::bridges::Statistics::refit)).
    Refit,
    /// Its down projection is changed by a map on its output
    /// ([`Statistics::replaceme`](crate::bridges::Statistics::replaceme)).
    Replaceme,
}

/// What a study that says nothing of bridges has.
const DEFAULT_BRIDGE: BridgeMethod = BridgeMethod::Off;

impl Default for BridgeMethod {
    fn default() -> Self {
        DEFAULT_BRIDGE
    }
}

/// Which kind of space is searched, its bridges, and its parameters: the other keys of the table `[space]`.
///
/// ```
/// use recipe_search::SpaceSettings;
/// let space: SpaceSettings = toml::from_str("remove = 3")?;
/// assert_eq!(space.kind, "prune");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpaceSettings {
    /// A row of [`crate::standard_spaces`], or a space of the program's own.
    #[serde(default = "prune")]
    pub kind: String,
    /// How the layer before removed ones is mended in every recipe of the study, baselines too.
    #[serde(default)]
    pub bridge: BridgeMethod,
    /// The ridges that a bridge's fit chooses from on text held back, in shares of the mean diagonal: a number or a
    /// list.
    #[serde(default = "default_ridges", deserialize_with = "one_or_several")]
    pub ridge: Vec<f64>,
    /// The parameters, as the study gives them.
    #[serde(flatten)]
    pub parameters: Map<String, Value>,
}

impl SpaceSettings {
    /// A kind of space without parameters.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), bridge: BridgeMethod::default(), ridge: default_ridges(), parameters: Map::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// The same with bridges of a kind.
    #[must_use]
    pub fn with_bridge(self, bridge: BridgeMethod) -> Self {
        Self { bridge, ..self }
    }

    /// What a table of spaces is asked for.
    pub(crate) fn choice(&self) -> Choice {
        Choice { name: self.kind.clone(), parameters: self.parameters.clone() }
    }
}

/// The kind of a study that names none.
fn prune() -> String {
    "prune".to_owned()
}

/// The ridges of a study that gives none: flat around 0.01 with enough text, larger with little.
fn default_ridges() -> Vec<f64> {
    vec![0.001, 0.01, 0.1]
}

/// A number, or a list of numbers.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number or a list of numbers")]
    enum Numbers {
        One(f64),
        Several(Vec<f64>),
    }
    Ok(match Numbers::deserialize(deserializer)? {
        Numbers::One(number) => vec![number],
        Numbers::Several(numbers) => numbers,
    })
}
