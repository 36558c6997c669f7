//! Parameters of merges, which may differ from tensor to tensor.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Settings by name.
/// ```
/// use layer_ir::{Filtered, Parameters, Value};
///
/// let by_tensor = |filter: Option<&str>, number| {
///     Filtered { filter: filter.map(str::to_owned), value: Value::Number(number) }
/// };
/// let mut parameters = Parameters::default();
/// parameters.set("weight", vec![by_tensor(Some("mlp"), 0.7), by_tensor(None, 0.3)]);
/// assert_eq!(parameters.number("weight", "model.layers.0.mlp.up_proj.weight")?, Some(0.7));
/// assert_eq!(parameters.number("weight", "model.norm.weight")?, Some(0.3));
/// assert_eq!(parameters.number("density", "model.norm.weight")?, None);
/// # Ok::<(), layer_ir::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub(super) IndexMap<String, Setting>);

/// One value for all tensors, or a list of which the first entry that fits holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// For all tensors.
    One(Value),
    /// By tensor.
    Filtered(Vec<Filtered>),
}

/// A value for some tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filtered {
    /// A piece of the tensor's name, case-sensitive; absent or `*`: every tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What holds for it.
    pub value: Value,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

impl Filtered {
    /// Whether it holds for a tensor.
    fn fits(&self, tensor: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| filter == "*" || tensor.contains(filter))
    }
}

impl Parameters {
    /// Sets one, in place of what was set before: one value for all tensors, or a list by tensor.
    pub fn set(&mut self, key: &str, value: impl Into<Setting>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names that are set.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is set under a name, for all tensors.
    pub(crate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// All settings, to be changed.
    pub(crate) fn values_mut(&mut self) -> &mut IndexMap<String, Setting> {
        &mut self.0
    }

    /// Whether a filter of these could tell one layer from another.
    pub(crate) fn depend_on_layer(&self) -> bool {
        let numbered =
            |entry: &Filtered| entry.filter.as_ref().is_some_and(|f| f.contains(|c: char| c.is_ascii_digit()));
        self.0.values().any(|setting| matches!(setting, Setting::Filtered(list) if list.iter().any(numbered)))
    }

    /// What is set for a tensor.
    #[must_use]
    pub fn get(&self, key: &str, tensor: &str) -> Option<&Value> {
        match self.0.get(key)? {
            Setting::One(value) => Some(value),
            Setting::Filtered(list) => list.iter().find(|entry| entry.fits(tensor)).map(|entry| &entry.value),
        }
    }

    /// A number for a tensor; a text such as `1e-3` is read as one.
    ///
    /// # Errors
    /// It is no number, or none that is finite in f32.
    pub fn number(&self, key: &str, tensor: &str) -> Result<Option<f64>, Error> {
        let read = |value: &Value| {
            let number = match value {
                Value::Number(number) => Some(*number),
                Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
                Value::Text(text) => text.trim().parse().ok(),
            };
            number.filter(|number| is_finite(*number))
        };
        self.read(key, tensor, "a finite number", read)
    }

    /// The first number that is not finite in f32, with its name.
    pub(super) fn not_finite(&self) -> Option<(&str, f64)> {
        let wrong = |value: &Value| match value {
            Value::Number(number) if !is_finite(*number) => Some(*number),
            _ => None,
        };
        self.0.iter().find_map(|(key, setting)| {
            let found = match setting {
                Setting::One(value) => wrong(value),
                Setting::Filtered(list) => list.iter().find_map(|entry| wrong(&entry.value)),
            };
            Some((key.as_str(), found?))
        })
    }

    /// Yes or no for a tensor; 0, 1, yes, no and their like are read so.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&self, key: &str, tensor: &str) -> Result<Option<bool>, Error> {
        let read = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) if *number == 0.0 || *number == 1.0 => Some(*number == 1.0),
            Value::Text(text) => match text.to_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Value::Number(_) => None,
        };
        self.read(key, tensor, "true or false", read)
    }

    /// What is set for a tensor, as one type.
    fn read<T>(
        &self,
        key: &str,
        tensor: &str,
        expected: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key, tensor) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Error::BadParameter {
            key: key.to_owned(),
            found: value.to_string(),
            tensor: tensor.to_owned(),
            expected,
        })
    }
}

/// Whether a parameter is a number that merges can compute with: they compute in f32.
pub(crate) fn is_finite(number: f64) -> bool {
    (number as f32).is_finite()
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<f64> for Setting {
    fn from(number: f64) -> Self {
        Self::One(Value::Number(number))
    }
}

impl From<bool> for Setting {
    fn from(flag: bool) -> Self {
        Self::One(Value::Bool(flag))
    }
}

impl From<Vec<Filtered>> for Setting {
    fn from(list: Vec<Filtered>) -> Self {
        Self::Filtered(list)
    }
}
