//! Documents from local JSON files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use crate::config::TaskConfig;
use crate::error::Error;
use crate::template;

/// One row of a split.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Every column, in the split's order; what a row leaves out is null.
    pub values: Map<String, Value>,
    /// The same, as templates see it.
    pub context: minijinja::Value,
}

impl Document {
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        let context = template::context(&values);
        Self { values, context }
    }
}

/// The splits of one task, each read when it is first asked for.
pub(crate) struct Dataset<'a> {
    task: &'a TaskConfig,
    splits: BTreeMap<String, Vec<Document>>,
}

impl<'a> Dataset<'a> {
    pub(crate) fn new(task: &'a TaskConfig) -> Self {
        Self { task, splits: BTreeMap::new() }
    }

    /// The documents of `split`, at least one.
    pub(crate) fn split(&mut self, split: &str) -> Result<&[Document], Error> {
        if !self.splits.contains_key(split) {
            let documents = read_split(self.task, split)?;
            self.splits.insert(split.to_owned(), documents);
        }
        Ok(self.splits.get(split).map_or(&[], Vec::as_slice))
    }
}

fn read_split(task: &TaskConfig, split: &str) -> Result<Vec<Document>, Error> {
    let Some(names) = task.data.files.get(split) else {
        let (task, known) = (task.task.clone(), task.data.files.keys().cloned().collect());
        return Err(Error::UnknownSplit { task, split: split.to_owned(), known });
    };
    let files = names.iter().map(|name| locate(task, name)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(read_file(file, task.data.field.as_deref())?);
    }
    if rows.is_empty() {
        return Err(Error::EmptySplit { task: task.task.clone(), split: split.to_owned(), files });
    }
    Ok(unify(rows).into_iter().map(Document::new).collect())
}

/// Beside the task file, in the folder above it, or where the program runs.
fn locate(task: &TaskConfig, name: &str) -> Result<PathBuf, Error> {
    let beside = task.file.parent().unwrap_or(Path::new(""));
    let above = beside.join("..");
    let tried: Vec<PathBuf> = [beside, &above, Path::new("")].iter().map(|folder| folder.join(name)).collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Error::NoDataFile { task: task.task.clone(), file: name.to_owned(), tried }),
    }
}

/// The rows of a file: JSON lines, one JSON array, or an object that holds an array under `field`.
fn read_file(file: &Path, field: Option<&str>) -> Result<Vec<Map<String, Value>>, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { path: file.to_owned(), source })?;
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

fn read_whole(file: &Path, text: &str, field: Option<&str>) -> Result<Vec<Map<String, Value>>, Error> {
    let mut value: Value = serde_json::from_str(text).map_err(|source| data_line(file, source.line(), source))?;
    if let Some(field) = field {
        value = value.get_mut(field).map(Value::take).unwrap_or_default();
    }
    match value {
        Value::Array(items) => items.into_iter().enumerate().map(|(place, item)| row(file, place + 1, item)).collect(),
        _ => Err(Error::NoDocuments { file: file.to_owned(), field: field.map(str::to_owned) }),
    }
}

fn data_line(file: &Path, line: usize, source: serde_json::Error) -> Error {
    Error::DataLine { file: file.to_owned(), line, source }
}

fn row(file: &Path, line: usize, value: Value) -> Result<Map<String, Value>, Error> {
    let found = match value {
        Value::Object(map) => return Ok(map),
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(Error::NotADocument { file: file.to_owned(), line, found })
}

/// One table from rows, as Arrow makes it: every row has every column, in the order of first appearance; whole numbers
/// beside fractions become fractions.
fn unify(rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let mut whole = Value::Array(rows.into_iter().map(Value::Object).collect());
    if let Value::Array(rows) = &mut whole {
        unify_column(&mut rows.iter_mut().collect::<Vec<_>>());
    }
    let Value::Array(rows) = whole else { return Vec::new() };
    rows.into_iter().filter_map(|row| if let Value::Object(map) = row { Some(map) } else { None }).collect()
}

fn unify_column(values: &mut [&mut Value]) {
    let present = || values.iter().filter(|value| !value.is_null());
    if present().all(|value| value.is_number()) {
        if present().any(|value| value.is_f64()) {
            for value in values.iter_mut() {
                if let Some(x) = value.as_f64() {
                    **value = Value::from(x);
                }
            }
        }
    } else if present().all(|value| value.is_array()) {
        let mut items: Vec<&mut Value> = values.iter_mut().filter_map(|value| value.as_array_mut()).flatten().collect();
        if !items.is_empty() {
            unify_column(&mut items);
        }
    } else if present().all(|value| value.is_object()) {
        let objects = values.iter_mut().filter_map(|value| value.as_object_mut()).collect();
        unify_objects(objects);
    }
}

fn unify_objects(mut objects: Vec<&mut Map<String, Value>>) {
    let columns: IndexSet<String> = objects.iter().flat_map(|object| object.keys().cloned()).collect();
    for object in &mut objects {
        let mut old = std::mem::take(*object);
        **object = columns.iter().map(|name| (name.clone(), old.remove(name).unwrap_or_default())).collect();
    }
    let mut by_column: IndexMap<&str, Vec<&mut Value>> = IndexMap::new();
    for object in objects {
        for (name, value) in object.iter_mut() {
            by_column.entry(name).or_default().push(value);
        }
    }
    for values in by_column.values_mut() {
        unify_column(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unified(rows: Value) -> Value {
        let rows = rows.as_array().cloned().unwrap_or_default();
        let rows = rows.into_iter().filter_map(|row| row.as_object().cloned()).collect();
        Value::Array(unify(rows).into_iter().map(Value::Object).collect())
    }

    #[test]
    fn columns_are_the_union_in_order_of_appearance() {
        let rows = unified(json!([{"a": 1}, {"b": "x", "a": 2}]));
        assert_eq!(rows.to_string(), r#"[{"a":1,"b":null},{"a":2,"b":"x"}]"#);
    }

    #[test]
    fn whole_numbers_beside_fractions_become_fractions() {
        let rows = unified(json!([{"n": 1, "l": [1]}, {"n": 2.5, "l": [0.5, null]}, {"n": null, "l": []}]));
        assert_eq!(rows.to_string(), r#"[{"n":1.0,"l":[1.0]},{"n":2.5,"l":[0.5,null]},{"n":null,"l":[]}]"#);
    }

    #[test]
    fn mixed_types_stay_as_they_are() {
        let rows = json!([{"n": 1}, {"n": "x"}, {"n": 2.5}]);
        assert_eq!(unified(rows.clone()), rows);
    }
}
