//! Where the files of a split are, and what rows they hold.

mod csv;
mod json;
mod parquet;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::bundled;
use crate::config::{DataFormat, DataSource, TaskConfig};
use crate::error::Error;

/// A row as its file has it.
pub(crate) type Row = Map<String, Value>;

/// The endings of files in a folder of the hub's.
const ENDINGS: [&str; 4] = ["jsonl", "json", "csv", "parquet"];

/// The rows of a split, at least one.
pub(crate) fn rows(task: &TaskConfig, split: &str, data_root: &Path) -> Result<Vec<Row>, Error> {
    let (files, format) = match &task.data {
        DataSource::Files { files, format } => {
            let Some(names) = files.get(split) else {
                let (task, known) = (task.task.clone(), files.keys().cloned().collect());
                return Err(Error::UnknownSplit { task, split: split.to_owned(), known });
            };
            (names.iter().map(|name| locate(task, name)).collect::<Result<Vec<_>, _>>()?, Some(format))
        }
        DataSource::Folder { path, name } => (in_folder(task, path, name.as_deref(), split, data_root)?, None),
    };
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(match format {
            Some(format) => read(file, format)?,
            None => read(file, &format_of(file))?,
        });
    }
    if rows.is_empty() {
        return Err(Error::EmptySplit { task: task.task.clone(), split: split.to_owned(), files });
    }
    Ok(rows)
}

fn read(file: &Path, format: &DataFormat) -> Result<Vec<Row>, Error> {
    match format {
        DataFormat::Json { field } => json::read(file, field.as_deref()),
        DataFormat::Csv { separator, columns } => csv::read(file, *separator, columns.as_deref()),
        DataFormat::Parquet => parquet::read(file),
    }
}

/// The format that the file's name promises.
fn format_of(file: &Path) -> DataFormat {
    match file.extension().and_then(std::ffi::OsStr::to_str) {
        Some("csv") => DataFormat::Csv { separator: b',', columns: None },
        Some("parquet") => DataFormat::Parquet,
        _ => DataFormat::Json { field: None },
    }
}

/// Folders from which relative paths may start: the task file's, the one above it, and where the program runs.
fn starts(task: &TaskConfig) -> Vec<PathBuf> {
    let beside = task.file.parent().filter(|folder| !bundled::holds(folder));
    let mut starts: Vec<PathBuf> = beside.map_or_else(Vec::new, |beside| vec![beside.to_owned(), beside.join("..")]);
    starts.push(PathBuf::new());
    starts
}

/// A file named in the task.
fn locate(task: &TaskConfig, name: &str) -> Result<PathBuf, Error> {
    let tried: Vec<PathBuf> = starts(task).iter().map(|folder| folder.join(name)).collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Error::NoDataFile { task: task.task.clone(), file: name.to_owned(), tried }),
    }
}

/// The files of a split of one of the hub's data sets, sorted by name.
fn in_folder(
    task: &TaskConfig,
    path: &str,
    name: Option<&str>,
    split: &str,
    data_root: &Path,
) -> Result<Vec<PathBuf>, Error> {
    // A data set without parts lies in a folder of its own, in `data` as on the hub, or in `default`.
    let parts: &[&str] = match name {
        None | Some("default") => &["default", "data", ""],
        Some(name) => &[name],
    };
    let roots = [data_root.to_owned()].into_iter().chain(starts(task));
    let tried: Vec<PathBuf> = roots.flat_map(|root| parts.iter().map(move |part| root.join(path).join(part))).collect();
    for folder in tried.iter().filter(|folder| folder.is_dir()) {
        let files = files_of(folder, split)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    let dataset = name.map_or_else(|| path.to_owned(), |name| format!("{path}/{name}"));
    Err(Error::NoLocalData { task: task.task.clone(), dataset, split: split.to_owned(), tried })
}

/// Files such as `test.jsonl` and `test-00000-of-00001.jsonl`.
fn files_of(folder: &Path, split: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let text =
            |part: Option<&std::ffi::OsStr>| part.and_then(std::ffi::OsStr::to_str).unwrap_or_default().to_owned();
        let (stem, ending) = (text(path.file_stem()), text(path.extension()));
        let is_split =
            stem.strip_prefix(split).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']));
        if is_split && ENDINGS.contains(&ending.as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
