//! YAML files with `include`, as JSON values.

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

use crate::error::Error;

/// The mapping in `file`, with what it includes: later includes win over earlier ones, the file's own keys over all.
pub(super) fn read_with_includes(file: &Path) -> Result<Map<String, Value>, Error> {
    read(file, &mut Vec::new())
}

fn read(file: &Path, seen: &mut Vec<PathBuf>) -> Result<Map<String, Value>, Error> {
    let mut own = read_mapping(file)?;
    let mut merged = Map::new();
    for include in own.shift_remove("include").map_or_else(|| Ok(Vec::new()), |value| includes(file, value))? {
        let path = file.parent().unwrap_or(Path::new(".")).join(&include);
        let identity = path.canonicalize().map_err(|source| Error::Read { path: path.clone(), source })?;
        if seen.contains(&identity) {
            return Err(Error::IncludeTwice { file: file.to_owned(), include });
        }
        seen.push(identity);
        merged.extend(read(&path, seen)?);
    }
    merged.extend(own);
    Ok(merged)
}

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

/// The mapping in `file` alone. Python functions become [`function_marker`]s, refused only where they are used.
pub(super) fn read_mapping(file: &Path) -> Result<Map<String, Value>, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { path: file.to_owned(), source })?;
    let yaml: Yaml = serde_yaml_ng::from_str(&text).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
    match to_json(yaml) {
        Value::Object(map) => Ok(map),
        _ => Err(Error::NotAMapping { file: file.to_owned() }),
    }
}

/// Stands for `!function module.name` until the key that holds it is read.
const FUNCTION: &str = "!function";

/// The function's name, if `value` is a Python function.
pub(super) fn python_function(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get(FUNCTION)?.as_str()
}

fn to_json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => number_to_json(&number),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(to_json).collect()),
        Yaml::Mapping(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key_text(key), to_json(value))).collect())
        }
        Yaml::Tagged(tagged) => {
            let name = match to_json(tagged.value) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            // Any other tag is as foreign as a function, and is named the same way.
            Value::Object([(FUNCTION.to_owned(), Value::String(name))].into_iter().collect())
        }
    }
}

fn key_text(key: Yaml) -> String {
    match to_json(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn number_to_json(number: &serde_yaml_ng::Number) -> Value {
    if let Some(n) = number.as_i64() {
        return Value::Number(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Value::Number(n.into());
    }
    number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}
