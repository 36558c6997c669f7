//! Where the files of a split are, and what rows they hold.
//!
//! A task names files (`dataset_kwargs.data_files`), looked for beside it, or a data set of the hub, looked for in
//! folders of that name and in the hub's cache, and downloaded if the options say so (`hub.rs`). Whatever the format, a
//! row is a map from a column's name to a JSON value.

mod csv;
mod hub;
mod json;
mod parquet;

use std::path::{Path, PathBuf};

use crate::builtins::Columns;
use crate::bundled;
use crate::config::{DataFormat, DataSource, TaskConfig};
use crate::error::{DataError, Error};
use crate::options::Options;

/// The rows of a split, at least one, file after file.
///
/// # Errors
/// [`Error::UnknownSplit`] for a split that the task names no files for; [`DataError`] for files that are not here, are
/// damaged, or hold nothing.
pub(crate) fn rows(task: &TaskConfig, split: &str, options: &Options) -> Result<Vec<Columns>, Error> {
    let (files, format) = match &task.data {
        DataSource::Files { files, format } => {
            let Some(names) = files.get(split) else {
                let (task, known) = (task.task.clone(), files.keys().cloned().collect());
                return Err(Error::UnknownSplit { task, split: split.to_owned(), known });
            };
            (names.iter().map(|name| locate(task, name)).collect::<Result<Vec<_>, _>>()?, Some(format))
        }
        DataSource::Folder { path, name } => {
            let split = hub::Split { path, name: name.as_deref(), split };
            (hub::files(task, split, options)?, None)
        }
    };
    let mut rows = Vec::new();
    for file in &files {
        rows.extend(match format {
            Some(format) => read(file, format)?,
            None => rows_of_file(file)?,
        });
    }
    if rows.is_empty() {
        return Err(DataError::EmptySplit { task: task.task.clone(), split: split.to_owned(), files }.into());
    }
    Ok(rows)
}

/// The rows of a file of the format that its name promises; maybe none.
pub(crate) fn rows_of_file(file: &Path) -> Result<Vec<Columns>, Error> {
    read(file, &format_of(file))
}

/// The rows of a file.
fn read(file: &Path, format: &DataFormat) -> Result<Vec<Columns>, Error> {
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

/// The path of a file named in the task: the first of the places where it may lie that has it.
fn locate(task: &TaskConfig, name: &str) -> Result<PathBuf, Error> {
    let tried: Vec<PathBuf> = starts(task).iter().map(|folder| folder.join(name)).collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(DataError::NoDataFile { task: task.task.clone(), file: name.to_owned(), tried }.into()),
    }
}
