//! `dataset_path`, `dataset_name` and `dataset_kwargs`: where the documents are.
//!
//! `json`, `csv` and `parquet` are files that `dataset_kwargs.data_files` names; any other `dataset_path` is a data set
//! of the hub, which is looked for on this machine. Nothing is opened here.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::keys::{Keys, missing};
use super::task::{DataFormat, DataSource};
use crate::error::Error;

/// Where a task's documents are.
///
/// # Errors
/// A key that is missing, of a wrong value or unknown, and a builder (`arrow`, `text`) that is not built.
pub(super) fn source(keys: &mut Keys<'_>, file: &Path) -> Result<DataSource, Error> {
    const SUPPORTED: &str =
        "json, csv or parquet with `dataset_kwargs: {data_files: {SPLIT: FILE}}`, or a data set of the hub in a folder";
    let name = keys.text("dataset_name")?;
    let path = keys.text("dataset_path")?.ok_or_else(|| missing(file, "dataset_path"))?;
    let kwargs = match keys.value("dataset_kwargs")? {
        Some(kwargs) => kwargs,
        None if ["json", "csv", "parquet"].contains(&path.as_str()) => return Err(missing(file, "dataset_kwargs")),
        None => Value::Object(Map::new()),
    };
    let mut kwargs = Keys::of(file, "dataset_kwargs", kwargs)?;
    kwargs.ignore(&["trust_remote_code"]);
    let format = match path.as_str() {
        "json" => DataFormat::Json { field: kwargs.text("field")? },
        "csv" => csv_format(&mut kwargs)?,
        "parquet" => DataFormat::Parquet,
        "arrow" | "text" => return Err(keys.unsupported("dataset_path", &Value::String(path), SUPPORTED)),
        _ => {
            kwargs.ignore(&["revision"]);
            kwargs.finish()?;
            return Ok(DataSource::Folder { path, name });
        }
    };
    let files = data_files(&mut kwargs, file)?;
    kwargs.finish()?;
    Ok(DataSource::Files { files, format })
}

/// `column_names`, and `sep` or `delimiter`: one ASCII character, a comma by default.
fn csv_format(kwargs: &mut Keys<'_>) -> Result<DataFormat, Error> {
    let columns = kwargs.texts("column_names")?;
    let written = kwargs.text("sep")?.or(kwargs.text("delimiter")?).unwrap_or_else(|| ",".to_owned());
    match written.as_bytes() {
        [separator] => Ok(DataFormat::Csv { separator: *separator, columns }),
        _ => Err(kwargs.bad("sep", "one character, in ASCII", &Value::String(written))),
    }
}

/// The files by split. A file or a list of files without a split is `train`, as in the library `datasets`.
fn data_files(kwargs: &mut Keys<'_>, file: &Path) -> Result<IndexMap<String, Vec<String>>, Error> {
    match kwargs.value("data_files")? {
        None => Err(missing(file, "dataset_kwargs.data_files")),
        Some(Value::Object(splits)) => {
            let mut splits = Keys::new(file, "dataset_kwargs.data_files.", splits);
            let mut files = IndexMap::new();
            for split in splits.names() {
                files.insert(split.clone(), splits.texts(&split)?.unwrap_or_default());
            }
            Ok(files)
        }
        Some(Value::String(one)) => Ok(IndexMap::from([("train".to_owned(), vec![one])])),
        Some(other) => {
            let texts = |items: &Vec<Value>| items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            match other.as_array().and_then(texts) {
                Some(files) => Ok(IndexMap::from([("train".to_owned(), files)])),
                None => {
                    Err(kwargs.bad("data_files", "a file, a list of files, or a mapping of splits to them", &other))
                }
            }
        }
    }
}
