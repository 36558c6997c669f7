//! Reading one key after the other from a mapping, with errors that name file and key.
//!
//! A reader takes a key away, so that what is left at the end is what nobody knows. A key that is missing and one that
//! says null are the same to all readers: None.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};
use tailor_registry::{Entry, Parameter, Settings, ValueKind};

use super::yaml::FunctionName;
use crate::builtins::{BuiltIn, FunctionKind};
use crate::error::{Error, SetupError, short};
use crate::hashes::sha256;

/// A mapping of a task file that is being taken apart: what is left at the end is unknown.
pub(super) struct Keys<'a> {
    file: &'a Path,
    /// `""`, or the path of the keys above with a dot at its end.
    prefix: String,
    map: Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// The keys of a mapping; `prefix` is what stands before each in an error.
    pub(super) fn new(file: &'a Path, prefix: &str, map: Map<String, Value>) -> Self {
        Self { file, prefix: prefix.to_owned(), map }
    }

    /// The mapping under `path`, or an error that says what is there instead.
    pub(super) fn of(file: &'a Path, path: &str, value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Self::new(file, &format!("{path}."), map)),
            other => Err(bad_value(file, path.to_owned(), "a mapping", &other)),
        }
    }

    /// A key with the keys above it, as an error names it: `fewshot_config.split`.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix).trim_end_matches('.').to_owned()
    }

    /// Whether the key is there and says null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// The value, unless it is missing or null. A function is refused.
    pub(super) fn value(&mut self, key: &str) -> Result<Option<Value>, Error> {
        let Some(value) = self.map.shift_remove(key).filter(|value| !value.is_null()) else { return Ok(None) };
        match FunctionName::of(&value) {
            Some(name) => Err(self.no_such_function(key, name)),
            None => Ok(Some(value)),
        }
    }

    /// The built-in function that stands under `key`; None if no function stands there. One that is not built in, or
    /// that does other work than this key's, is refused.
    pub(super) fn built_in(&mut self, key: &str, fits: fn(FunctionKind) -> bool) -> Result<Option<BuiltIn>, Error> {
        let Some(name) = self.map.get(key).and_then(FunctionName::of) else { return Ok(None) };
        let found = match name {
            FunctionName::Native(name) => BuiltIn::of_name(name),
            FunctionName::Python { folder, function } => {
                let task = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                BuiltIn::of_python(task, function)
            }
        };
        let function =
            found.filter(|function| fits(function.kind())).ok_or_else(|| self.no_such_function(key, name))?;
        if let FunctionName::Python { folder, .. } = name {
            self.check_source(key, folder, function)?;
        }
        self.map.shift_remove(key);
        Ok(Some(function))
    }

    /// Refuses a Python file beside the task file that is not the one after which the built-in function was written.
    fn check_source(&self, key: &str, folder: &Path, function: BuiltIn) -> Result<(), Error> {
        let source = folder.join(format!("{}.py", function.module()));
        // Without a file beside it, the task's name says which function is meant.
        let Ok(text) = std::fs::read_to_string(&source) else { return Ok(()) };
        if function.is_written_after(&sha256(&text)) {
            return Ok(());
        }
        Err(Error::OtherPythonSource { file: self.file.to_owned(), key: self.path(key), source_file: source, function })
    }

    /// The error of a function that is not built in for this key.
    fn no_such_function(&self, key: &str, name: FunctionName<'_>) -> Error {
        Error::PythonFunction { file: self.file.to_owned(), key: self.path(key), function: name.text().to_owned() }
    }

    /// A string.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// True or false; 0 and 1 are neither.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A whole number, 0 or more.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<usize>, Error> {
        self.read(key, "a whole number, 0 or more", |value| usize::try_from(value.as_u64()?).ok())
    }

    /// A number, whole or not.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, Error> {
        self.read(key, "a number", Value::as_f64)
    }

    /// A string, or a list of strings.
    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Error> {
        self.read(key, "a string, or a list of strings", |value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        })
    }

    /// A list of anything.
    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<Value>>, Error> {
        self.read(key, "a list", |value| value.as_array().cloned())
    }

    /// A mapping of anything.
    pub(super) fn map(&mut self, key: &str) -> Result<Option<Map<String, Value>>, Error> {
        self.read(key, "a mapping", |value| value.as_object().cloned())
    }

    /// The value as `reading` has it; None if it is missing or null.
    ///
    /// # Errors
    /// [`Error::BadValue`] where `reading` gives None; [`Error::PythonFunction`] for a function.
    fn read<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        reading: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        reading(&value).map(Some).ok_or_else(|| bad_value(self.file, self.path(key), expected, &value))
    }

    /// Reads and drops keys that have no effect on the scores.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.shift_remove(*key);
        }
    }

    /// Refuses `key` if it is set to anything but null, false or an empty value.
    pub(super) fn refuse(&mut self, key: &str, supported: &'static str) -> Result<(), Error> {
        match self.value(key)? {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(value) => Err(self.unsupported(key, &value, supported)),
        }
    }

    /// The error of a value that the harness knows and this crate does not; `supported` is what it does.
    pub(super) fn unsupported(&self, key: &str, value: &Value, supported: impl Into<Cow<'static, str>>) -> Error {
        let supported = supported.into();
        Error::Unsupported { file: self.file.to_owned(), key: self.path(key), value: short(value), supported }
    }

    /// The error of a name or a parameter that does not fit a table.
    pub(super) fn setup(&self, key: &str, source: impl Into<SetupError>) -> Error {
        Error::Setup { file: self.file.to_owned(), key: self.path(key), source: source.into() }
    }

    /// All keys that no reader has asked for, as parameters of `owner`, checked against their descriptions. Null
    /// counts as absent, and a text stands for a list of one.
    pub(super) fn settings<T: Entry + ?Sized>(mut self, what: &str, owner: &T) -> Result<Settings, Error> {
        let mut given = Map::new();
        for key in self.names() {
            let Some(value) = self.value(&key)? else { continue };
            let is_list = |parameter: &&Parameter| parameter.name == key && parameter.kind == ValueKind::Texts;
            let value = match value {
                Value::String(text) if owner.parameters().iter().any(|one| is_list(&one)) => Value::from(vec![text]),
                other => other,
            };
            given.insert(key, value);
        }
        let owner_name = format!("{what} `{}`", owner.name());
        Settings::check(owner_name, owner.parameters(), &given).map_err(|error| self.setup("", error))
    }

    /// The error of a value of the wrong type or range.
    pub(super) fn bad(&self, key: &str, expected: &'static str, found: &Value) -> Error {
        bad_value(self.file, self.path(key), expected, found)
    }

    /// The keys that no reader has asked for, in the file's order.
    pub(super) fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// What no reader has asked for, in the file's order.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map
    }

    /// Refuses what no reader has asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(key) => Err(Error::UnknownKey { file: self.file.to_owned(), key: self.path(key) }),
        }
    }
}

/// The error of a key that must be there.
pub(super) fn missing(file: &Path, key: &'static str) -> Error {
    Error::MissingKey { file: file.to_owned(), key }
}

/// The error of a value that should be something else; `key` comes with its path.
fn bad_value(file: &Path, key: String, expected: &'static str, found: &Value) -> Error {
    Error::BadValue { file: file.to_owned(), key, expected, found: short(found) }
}
