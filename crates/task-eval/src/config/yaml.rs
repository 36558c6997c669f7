//! YAML files with `include`, as JSON values.
//!
//! The tags `!function module.name` and `!native task.name` become small objects, [`FUNCTION`] and [`NATIVE`], so that
//! the rest of the crate has one type of value; a reader of a key finds them with [`FunctionName::of`].

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

use crate::bundled;
use crate::error::Error;

/// The mapping in `file`, with what it includes: later includes win over earlier ones, the file's own keys over all.
pub(super) fn read_with_includes(file: &Path) -> Result<Map<String, Value>, Error> {
    read(file, &mut Vec::new())
}

/// As [`read_with_includes`]; `seen` are the files read so far, each of which may be included once.
fn read(file: &Path, seen: &mut Vec<PathBuf>) -> Result<Map<String, Value>, Error> {
    let mut own = read_mapping(file)?;
    let mut merged = Map::new();
    for include in own.shift_remove("include").map_or_else(|| Ok(Vec::new()), |value| includes(file, value))? {
        let path = file.parent().unwrap_or(Path::new(".")).join(&include);
        let unread = |source| Error::Include { file: file.to_owned(), include: include.clone(), source };
        let identity = identity(&path).map_err(unread)?;
        if seen.contains(&identity) {
            return Err(Error::IncludeTwice { file: file.to_owned(), include });
        }
        seen.push(identity);
        merged.extend(read(&path, seen).map_err(|error| match error {
            Error::Read { file: at, source } if at == path => unread(source),
            other => other,
        })?);
    }
    merged.extend(own);
    Ok(merged)
}

/// The same for all ways to write a file's path.
fn identity(path: &Path) -> std::io::Result<PathBuf> {
    if bundled::holds(path) { Ok(path.to_owned()) } else { path.canonicalize() }
}

/// The files that `include` names: one, or a list.
fn includes(file: &Path, value: Value) -> Result<Vec<PathBuf>, Error> {
    let path = |value: Value| match value {
        Value::String(path) => Ok(PathBuf::from(path)),
        other => Err(Error::BadValue {
            file: file.to_owned(),
            key: "include".to_owned(),
            expected: "a file, or a list of files",
            found: other.to_string(),
        }),
    };
    match value {
        Value::Array(items) => items.into_iter().map(path).collect(),
        one => Ok(vec![path(one)?]),
    }
}

/// The mapping in `file` alone. Functions become markers, looked up only where they are used.
fn read_mapping(file: &Path) -> Result<Map<String, Value>, Error> {
    let failed = |source| Error::Read { file: file.to_owned(), source };
    let text = bundled::text(file).map_or_else(|| std::fs::read_to_string(file), Ok).map_err(failed)?;
    let yaml: Yaml = serde_yaml_ng::from_str(&text).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
    let folder = file.parent().unwrap_or(Path::new("")).display().to_string();
    match to_json(yaml, &folder) {
        Value::Object(map) => Ok(map),
        _ => Err(Error::NotAMapping { file: file.to_owned() }),
    }
}

/// Stands for `!function module.name` until the key that holds it is read; the name stands behind its file's folder.
const FUNCTION: &str = "!function";
/// Stands for `!native task.name`.
const NATIVE: &str = "!native";

/// What `!function` or `!native` name.
#[derive(Clone, Copy)]
pub(super) enum FunctionName<'a> {
    /// A Python function in a module of this folder.
    Python { folder: &'a Path, function: &'a str },
    /// A built-in function by its own name.
    Native(&'a str),
}

impl<'a> FunctionName<'a> {
    /// The function's name, if `value` is one.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        if let Some(name) = map.get(NATIVE) {
            return name.as_str().map(Self::Native);
        }
        let (folder, function) = map.get(FUNCTION)?.as_str()?.rsplit_once('/').unwrap_or_default();
        Some(Self::Python { folder: Path::new(folder), function })
    }

    /// The name alone.
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Python { function, .. } => function,
            Self::Native(name) => name,
        }
    }
}

/// A YAML value as JSON; `folder` is the one of its file, in which a Python function's module lies.
fn to_json(yaml: Yaml, folder: &str) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => number_to_json(&number),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(|item| to_json(item, folder)).collect()),
        Yaml::Mapping(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key_text(key), to_json(value, folder))).collect())
        }
        Yaml::Tagged(tagged) => {
            let name = match to_json(tagged.value, folder) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            // Any other tag is as foreign as a function, and is named the same way.
            let (kind, name) =
                if tagged.tag == "native" { (NATIVE, name) } else { (FUNCTION, format!("{folder}/{name}")) };
            Value::Object([(kind.to_owned(), Value::String(name))].into_iter().collect())
        }
    }
}

/// A key as text, such as `1` or `true`: JSON has no other keys.
fn key_text(key: Yaml) -> String {
    match to_json(key, "") {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A number; null for what JSON cannot write, `.nan` and `.inf`.
fn number_to_json(number: &serde_yaml_ng::Number) -> Value {
    if let Some(n) = number.as_i64() {
        return Value::Number(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Value::Number(n.into());
    }
    number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}
