//! Rows from JSON: lines, one array, or an array under a key of one object.

use std::path::Path;

use serde_json::Value;

use crate::builtins::Columns;
use crate::error::{DataError, Error};

/// The rows of a file: JSON lines, one JSON array, or an object that holds an array under `field`.
pub(super) fn read(file: &Path, field: Option<&str>) -> Result<Vec<Columns>, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if field.is_some() || text.trim_start().starts_with('[') {
        return read_whole(file, text, field);
    }
    let mut rows = Vec::new();
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value = serde_json::from_str(line).map_err(|source| data_line(file, place + 1, source))?;
        rows.push(row(file, place + 1, value)?);
    }
    Ok(rows)
}

/// The rows of a file that is one JSON value.
fn read_whole(file: &Path, text: &str, field: Option<&str>) -> Result<Vec<Columns>, Error> {
    let mut value: Value = serde_json::from_str(text).map_err(|source| data_line(file, source.line(), source))?;
    if let Some(field) = field {
        value = value.get_mut(field).map(Value::take).unwrap_or_default();
    }
    match value {
        Value::Array(items) => items.into_iter().enumerate().map(|(place, item)| row(file, place + 1, item)).collect(),
        _ => Err(DataError::NoDocuments { file: file.to_owned(), field: field.map(str::to_owned) }.into()),
    }
}

/// The error of a line that is not JSON.
fn data_line(file: &Path, line: usize, source: serde_json::Error) -> DataError {
    DataError::DataLine { file: file.to_owned(), line, source }
}

/// A row, which must be an object; `line` is its place, for errors.
fn row(file: &Path, line: usize, value: Value) -> Result<Columns, Error> {
    let found = match value {
        Value::Object(map) => return Ok(map),
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(DataError::NotADocument { file: file.to_owned(), line, found }.into())
}
