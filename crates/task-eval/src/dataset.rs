//! The documents of a task: rows of one table, split by split.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use crate::builtins::{BuiltIn, FunctionKind};
use crate::config::TaskConfig;
use crate::data_files;
use crate::error::Error;
use crate::options::Options;
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
    /// A document of these columns.
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        let context = template::context(&values);
        Self { values, context }
    }
}

/// The splits of one task, each read when it is first asked for.
pub(crate) struct Dataset<'a> {
    task: &'a TaskConfig,
    options: &'a Options,
    splits: BTreeMap<String, Vec<Document>>,
}

impl<'a> Dataset<'a> {
    /// The data of a task; nothing is read yet.
    pub(crate) fn new(task: &'a TaskConfig, options: &'a Options) -> Self {
        Self { task, options, splits: BTreeMap::new() }
    }

    /// The documents of `split`, at least one, after the task's `process_docs`.
    ///
    /// # Errors
    /// What keeps the files from being read, and [`Error::BuiltIn`] for a document that `process_docs` cannot read.
    pub(crate) fn split(&mut self, split: &str) -> Result<&[Document], Error> {
        if !self.splits.contains_key(split) {
            let documents = self.read(split, self.task.process_docs)?;
            self.splits.insert(split.to_owned(), documents);
        }
        Ok(self.splits.get(split).map_or(&[], Vec::as_slice))
    }

    /// The split's rows as one table, after `process_docs`, which need not be the task's.
    pub(crate) fn read(&self, split: &str, process_docs: Option<BuiltIn>) -> Result<Vec<Document>, Error> {
        let mut rows = unify(data_files::rows(self.task, split, self.options)?);
        match process_docs.map(|function| (function, function.kind())) {
            Some((function, FunctionKind::Document(process))) => {
                for (document, row) in rows.iter_mut().enumerate() {
                    let task = || self.task.task.clone();
                    process(row).map_err(|source| Error::BuiltIn { task: task(), document, function, source })?;
                }
            }
            Some((_, FunctionKind::Split(process))) => rows = process(rows),
            _ => {}
        }
        Ok(rows.into_iter().map(Document::new).collect())
    }
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

/// Makes the values of one column alike where Arrow does: numbers, the items of lists, the fields of objects. A column
/// of mixed types stays as it is.
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

/// Gives every object the same fields in the same order; missing ones are null.
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
    fn mixed_types_stay_without_teacher() {
        let rows = json!([{"n": 1}, {"n": "x"}, {"n": 2.5}]);
        assert_eq!(unified(rows.clone()), rows);
    }
}
