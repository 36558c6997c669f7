//! What a file says of a named thing: its name, or its name with parameters.

use serde::de::{self, Deserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A name with parameters, not yet looked up: `"tpe"`, or `{ name = "tpe", candidates = 64 }`.
/// ```
/// use tailor_registry::Choice;
///
/// let plain: Choice = serde_json::from_str(r#""tpe""#)?;
/// let with_parameters: Choice = serde_json::from_str(r#"{"name": "tpe", "candidates": 64}"#)?;
/// assert_eq!((plain, with_parameters), (Choice::new("tpe"), Choice::new("tpe").with("candidates", 64)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// The name.
    pub name: String,
    /// The parameters that were given, in their order.
    pub parameters: Map<String, Value>,
}

impl Choice {
    /// A name without parameters.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Map::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }
}

impl From<&str> for Choice {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.parameters.is_empty() {
            return serializer.serialize_str(&self.name);
        }
        let mut map = serializer.serialize_map(Some(1 + self.parameters.len()))?;
        map.serialize_entry("name", &self.name)?;
        self.parameters.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self::new(name)),
            Value::Object(mut parameters) => match parameters.remove("name") {
                Some(Value::String(name)) => Ok(Self { name, parameters }),
                Some(other) => Err(de::Error::custom(format!("`name` is {other}; it must be a text"))),
                None => Err(de::Error::missing_field("name")),
            },
            other => {
                Err(de::Error::custom(format!("{other}; expected a name, or a table with a `name` and parameters")))
            }
        }
    }
}
