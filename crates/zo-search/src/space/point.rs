//! A point of a space: a typed value for each active dimension.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The value of one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Value {
    /// A real number.
    Float(f64),
    /// An integer.
    Int(i64),
    /// One of several names.
    Categorical(String),
    /// A choice of yes or no for each item.
    Mask(Vec<bool>),
    /// The items chosen, rising.
    Subset(Vec<usize>),
    /// The items in an order.
    Permutation(Vec<usize>),
}

impl Value {
    /// The name of the value's type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Int(_) => "integer",
            Self::Categorical(_) => "categorical",
            Self::Mask(_) => "mask",
            Self::Subset(_) => "subset",
            Self::Permutation(_) => "permutation",
        }
    }

    /// The one form of equal values: subsets rise, and zero has no sign.
    pub(crate) fn canonical(&self) -> Self {
        match self {
            Self::Float(x) if *x == 0.0 => Self::Float(0.0),
            Self::Subset(items) => {
                let mut items = items.clone();
                items.sort_unstable();
                Self::Subset(items)
            }
            other => other.clone(),
        }
    }

    /// Feeds type and content: values of different types never hash alike.
    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        hasher.update(self.kind().as_bytes());
        match self {
            Self::Float(x) => hasher.update(&x.to_bits().to_le_bytes()),
            Self::Int(x) => hasher.update(&x.to_le_bytes()),
            Self::Categorical(name) => hash_text(hasher, name),
            Self::Mask(bits) => {
                hasher.update(&(bits.len() as u64).to_le_bytes());
                hasher.update(&bits.iter().map(|bit| u8::from(*bit)).collect::<Vec<_>>())
            }
            Self::Subset(items) | Self::Permutation(items) => {
                hasher.update(&(items.len() as u64).to_le_bytes());
                items.iter().fold(hasher, |hasher, item| hasher.update(&(*item as u64).to_le_bytes()))
            }
        };
    }
}

/// Feeds a text behind its length, so that two texts never run into each other.
fn hash_text<'a>(hasher: &'a mut blake3::Hasher, text: &str) -> &'a mut blake3::Hasher {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes())
}

impl From<&str> for Value {
    fn from(choice: &str) -> Self {
        Self::Categorical(choice.to_string())
    }
}

impl From<i64> for Value {
    fn from(x: i64) -> Self {
        Self::Int(x)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(x) => write!(f, "{x}"),
            Self::Int(x) => write!(f, "{x}"),
            Self::Categorical(name) => write!(f, "{name}"),
            Self::Mask(bits) => bits.iter().try_for_each(|bit| write!(f, "{}", u8::from(*bit))),
            Self::Subset(items) | Self::Permutation(items) => write!(f, "{items:?}"),
        }
    }
}

/// Values by the names of their dimensions. What a point must have, its [`Space`](crate::Space) says.
///
/// ```
/// # use zo_search::Point;
/// let point = Point::new().with_subset("remove", [7, 3]).with_float("layer_0.coefficient", 0.5);
/// assert_eq!(point.subset("remove")?, [3, 7]);
/// assert!(point.float("remove").is_err());
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point {
    values: BTreeMap<String, Value>,
}

impl Point {
    /// A point without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a value for a dimension, in place of one that it had.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Value) -> Self {
        self.values.insert(name.into(), value.canonical());
        self
    }

    /// With all values of another point, in place of its own.
    pub(crate) fn with_all(mut self, other: Self) -> Self {
        self.values.extend(other.values);
        self
    }

    /// With a float.
    #[must_use]
    pub fn with_float(self, name: impl Into<String>, value: f64) -> Self {
        self.with(name, Value::Float(value))
    }

    /// With an integer.
    #[must_use]
    pub fn with_int(self, name: impl Into<String>, value: i64) -> Self {
        self.with(name, Value::Int(value))
    }

    /// With a category.
    #[must_use]
    pub fn with_categorical(self, name: impl Into<String>, choice: impl Into<String>) -> Self {
        self.with(name, Value::Categorical(choice.into()))
    }

    /// With a mask.
    #[must_use]
    pub fn with_mask(self, name: impl Into<String>, bits: impl Into<Vec<bool>>) -> Self {
        self.with(name, Value::Mask(bits.into()))
    }

    /// With a subset; its members may come in any order.
    #[must_use]
    pub fn with_subset(self, name: impl Into<String>, items: impl Into<Vec<usize>>) -> Self {
        self.with(name, Value::Subset(items.into()))
    }

    /// With a permutation.
    #[must_use]
    pub fn with_permutation(self, name: impl Into<String>, items: impl Into<Vec<usize>>) -> Self {
        self.with(name, Value::Permutation(items.into()))
    }

    /// The value of a dimension; none if it is inactive.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// All values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A short hash of the content: equal for equal points, on every machine.
    #[must_use]
    pub fn key(&self) -> PointKey {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in &self.values {
            hash_text(&mut hasher, name);
            value.hash_into(&mut hasher);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        PointKey(u128::from_be_bytes(key))
    }

    /// The value, or [`Error::MissingValue`].
    fn required(&self, name: &str) -> Result<&Value, Error> {
        self.values.get(name).ok_or_else(|| Error::MissingValue { name: name.to_string() })
    }
}

/// Defines the getters, which differ in type and variant alone.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $variant:ident($bound:ident) => $out:expr, $type:ty;)*) => {
        /// Typed values.
        impl Point {
            $($(#[$doc])*
            ///
            /// # Errors
            /// [`Error::MissingValue`] where the dimension is inactive, [`Error::WrongType`] where it has another
            /// type.
            pub fn $name(&self, name: &str) -> Result<$type, Error> {
                match self.required(name)? {
                    Value::$variant($bound) => Ok($out),
                    other => Err(Error::WrongType { name: name.to_string(), expected: $expected, found: other.kind() }),
                }
            })*
        }
    };
}

getters! {
    /// The float `name`.
    float, "float", Float(x) => *x, f64;
    /// The integer `name`.
    int, "integer", Int(x) => *x, i64;
    /// The chosen category of `name`.
    categorical, "categorical", Categorical(choice) => choice, &str;
    /// The bits of mask `name`.
    mask, "mask", Mask(bits) => bits, &[bool];
    /// The members of subset `name`, rising.
    subset, "subset", Subset(items) => items, &[usize];
    /// The order `name`.
    permutation, "permutation", Permutation(items) => items, &[usize];
}

/// A content hash of a [`Point`]; written as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointKey(u128);

impl PointKey {
    /// The hash as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for PointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_tells_points_apart_and_forgets_the_order_of_building() {
        let a = Point::new().with_float("x", 0.0).with_subset("s", [2, 1]);
        let b = Point::new().with_subset("s", [1, 2]).with_float("x", -0.0);
        assert_eq!(a, b);
        assert_eq!(a.key(), b.key());
        let others = [
            Point::new(),
            a.clone().with_float("x", 1.0),
            a.clone().with_permutation("s", [1, 2]),
            a.clone().with_int("y", 0),
        ];
        assert!(others.iter().all(|other| other.key() != a.key()));
    }

    #[test]
    fn a_point_survives_json() -> Result<(), serde_json::Error> {
        let point = Point::new().with_float("x", 0.1 + 0.2).with_mask("m", [true, false]).with_categorical("c", "ä");
        let text = serde_json::to_string(&point)?;
        assert_eq!(text, r#"{"c":{"categorical":"ä"},"m":{"mask":[true,false]},"x":{"float":0.30000000000000004}}"#);
        assert_eq!(serde_json::from_str::<Point>(&text)?, point);
        Ok(())
    }
}
