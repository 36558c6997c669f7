//! The keys and values of a result, and what they are read as.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::Problem;
use crate::Error;

/// The keys and values of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entries {
    /// The file, for messages.
    pub file: PathBuf,
    values: IndexMap<String, Value>,
}

impl Entries {
    /// Reads a JSON object.
    pub fn read(text: &str, file: &Path) -> Result<Self, Error> {
        let read: Unique =
            serde_json::from_str(text).map_err(|source| Error::Json { file: file.to_owned(), source })?;
        Ok(Self { file: file.to_owned(), values: read.0 })
    }

    /// Values that are in no file; messages call their place so.
    pub fn of(values: IndexMap<String, Value>) -> Self {
        Self { file: PathBuf::from("the point"), values }
    }

    /// The error of what stands, or should stand, under a key.
    pub fn fail(&self, key: impl Into<String>, problem: Problem) -> Error {
        Error::Gptailor { file: self.file.clone(), key: key.into(), problem: Box::new(problem) }
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What stands under a key.
    fn value(&self, key: &str) -> Result<&Value, Error> {
        self.values.get(key).ok_or_else(|| self.fail(key, Problem::Missing))
    }

    /// A word.
    pub fn text(&self, key: &str) -> Result<&str, Error> {
        Ok(self.value(key)?.as_str().unwrap_or_default())
    }

    /// A finite number, also one that is written as a text.
    pub fn number(&self, key: &str) -> Result<f64, Error> {
        let number = match self.value(key)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.fail(key, Problem::NoNumber))
    }

    /// A whole number from 0 on; `problem` where it is none.
    pub fn whole(&self, key: &str, problem: Problem) -> Result<usize, Error> {
        let number = self.number(key)?;
        if number >= 0.0 && number.fract() == 0.0 && number < MOST as f64 {
            Ok(number as usize)
        } else {
            Err(self.fail(key, problem))
        }
    }

    /// Yes or no: 1 or 0. The stacking search may also have numbers between them, of which more than a half is yes.
    pub fn chosen(&self, key: &str) -> Result<bool, Error> {
        let number = self.number(key)?;
        let flag = (0.0..=1.0).contains(&number) && number != 0.5;
        if flag { Ok(number > 0.5) } else { Err(self.fail(key, Problem::NoFlag)) }
    }

    /// Yes or no: 1 or 0, nothing between them.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.number(key)? {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(self.fail(key, Problem::NoFlag)),
        }
    }
}

/// No model has as many layers as this.
const MOST: usize = 100_000;

/// A number within a key, from 0 on: one spelling for each.
pub(super) fn index(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && *number < MOST)
}

/// A JSON object that has no key twice: of two values the last would win in silence.
struct Unique(IndexMap<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of search parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut values = IndexMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if values.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("`{key}` stands there twice")));
                    }
                    values.insert(key, value);
                }
                Ok(Unique(values))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
