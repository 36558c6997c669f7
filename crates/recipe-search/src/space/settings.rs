//! What a study says of its space: the table `[space]`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tailor_registry::Choice;

/// Which kind of space is searched, and its parameters: the other keys of the table `[space]`.
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
    /// The parameters, as the study gives them.
    #[serde(flatten)]
    pub parameters: Map<String, Value>,
}

impl SpaceSettings {
    /// A kind of space without parameters.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), parameters: Map::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
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
