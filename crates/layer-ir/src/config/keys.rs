//! Typed access to `config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Dtype, Error, Presence};

/// No model has as many layers; a bound for what a damaged config can make us allocate.
const MOST_LAYERS: usize = 100_000;

/// Typed access to the keys, with messages that name them.
pub(super) struct Keys<'a> {
    /// The whole file.
    pub raw: &'a Map<String, Value>,
    /// Its name, for messages.
    pub file: &'a Path,
}

impl<'a> Keys<'a> {
    /// A value. A key that is `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.raw.get(key).filter(|value| !value.is_null())
    }

    /// The error of a key that is not there.
    pub fn missing(&self, key: &'static str) -> Error {
        Error::MissingKey { file: self.file.to_owned(), key }
    }

    /// The error of a value that is not what it should be.
    pub fn bad(&self, key: &'static str, expected: &'static str) -> Error {
        let found = self.raw.get(key).map_or_else(|| "null".to_owned(), Value::to_string);
        Error::BadKey { file: self.file.to_owned(), key, found, expected }
    }

    /// A value of one type: `None` if it is absent, an error that names `expected` if it is of another type.
    pub fn typed<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.get(key).map(|value| read(value).ok_or_else(|| self.bad(key, expected))).transpose()
    }

    /// A text, if it is there.
    pub fn text(&self, key: &'static str) -> Result<Option<&'a str>, Error> {
        self.typed(key, "a text", Value::as_str)
    }

    /// The depth, which every architecture must state.
    pub fn num_layers(&self) -> Result<usize, Error> {
        let layers = self.needed_size("num_hidden_layers")?;
        if layers == 0 || layers > MOST_LAYERS {
            return Err(self.bad("num_hidden_layers", "between 1 and 100000"));
        }
        Ok(layers)
    }

    /// Whether the model has an optional part.
    pub fn has_part(&self, presence: Presence) -> Result<bool, Error> {
        match presence {
            Presence::Always => Ok(true),
            Presence::Never => Ok(false),
            Presence::IfSet(key) => Ok(self.flag(key)?.unwrap_or(false)),
        }
    }

    /// A size that must be there.
    pub fn needed_size(&self, key: &'static str) -> Result<usize, Error> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number, if it is there. Sizes are bounded by `u32`, so that products of two of them cannot overflow.
    pub fn size(&self, key: &'static str) -> Result<Option<usize>, Error> {
        let read = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).map(|n| n as usize);
        self.typed(key, "a whole number", read)
    }

    /// A number, if it is there.
    pub fn number(&self, key: &'static str) -> Result<Option<f64>, Error> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// True or false, if it is there.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, Error> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// One token id or a list of them.
    pub fn tokens(&self, key: &'static str) -> Result<Vec<u32>, Error> {
        let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let read = |value: &Value| match value {
            Value::Array(ids) => ids.iter().map(one).collect(),
            id => one(id).map(|id| vec![id]),
        };
        Ok(self.typed(key, "a token id or a list of them", read)?.unwrap_or_default())
    }

    /// The number format, under its newer key or its older one.
    pub fn dtype(&self) -> Result<Option<Dtype>, Error> {
        let key = if self.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
        // A config may state a type that the weights are not in; what they are is in the weights.
        Ok(self.get(key).and_then(|value| serde_json::from_value(value.clone()).ok()))
    }
}
