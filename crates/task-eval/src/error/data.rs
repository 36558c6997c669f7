//! What can go wrong with the documents: where their files are, and what is in them.

use std::path::PathBuf;

use super::words::{at_row, listed, problem, shortened, under_field, within};

/// Why a split's documents cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A data file is in none of the places where it is looked for.
    #[error("task `{task}`: the data file `{file}` does not exist; looked for {}", listed(.tried))]
    NoDataFile {
        /// The task.
        task: String,
        /// The file as written.
        file: String,
        /// The places.
        tried: Vec<PathBuf>,
    },
    /// A data set of the hub has no local file for a split.
    #[error(
        "task `{task}`: the split `{split}` of the data set `{dataset}` is not here; put it, as {split}.jsonl, \
         .json, .csv or .parquet, into the folder {} one of {}; or have it downloaded \
         (`Options::download`)", within(.folders), listed(.roots)
    )]
    NoLocalData {
        /// The task.
        task: String,
        /// `dataset_path`, with its `dataset_name`.
        dataset: String,
        /// The split.
        split: String,
        /// The folders within each of `roots` in which it may lie; `""` stands for the root itself.
        folders: Vec<String>,
        /// The folders of the data set's name in which it was looked for, each once.
        roots: Vec<PathBuf>,
    },
    /// A download is asked for of a program that cannot download.
    #[error(
        "task `{task}`: the data set `{dataset}` is not here, and this program was built without task-eval's feature \
         `download`; build it with that, or put the data set here by hand"
    )]
    DownloadNotBuilt {
        /// The task.
        task: String,
        /// `dataset_path`, with its `dataset_name`.
        dataset: String,
    },
    /// A split of a data set of the hub is not here and cannot be downloaded.
    #[cfg(feature = "download")]
    #[error("task `{task}`: the data set `{dataset}` cannot be downloaded: {source}")]
    Download {
        /// The task.
        task: String,
        /// `dataset_path`, with its `dataset_name`.
        dataset: String,
        /// Why.
        source: Box<tailor_hub::Error>,
    },
    /// A data set of the hub has no files of the split where they are looked for.
    #[error(
        "task `{task}`: the data set `{dataset}` has no files of the split `{split}` in {}; it has {}. Is \
         `dataset_name` right? Files of other names can be put into the data folder by hand", shortened(.folders),
        shortened(.files)
    )]
    NoSplit {
        /// The task.
        task: String,
        /// `dataset_path`, with its `dataset_name`.
        dataset: String,
        /// The split.
        split: String,
        /// Where its files may be.
        folders: Vec<String>,
        /// The files that the data set has on the hub.
        files: Box<[String]>,
    },
    /// A line of a data file is not JSON.
    #[error("{file}:{line}: is not valid JSON: {}", problem(.source))]
    DataLine {
        /// The data file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A document is not an object.
    #[error("{file}:{line}: a document is an object such as {{\"question\": \"...\"}}, but this is {found}")]
    NotADocument {
        /// The data file.
        file: PathBuf,
        /// The line, or in a JSON array the place, from 1.
        line: usize,
        /// `a number`, ...
        found: &'static str,
    },
    /// A JSON file lacks the field that holds its documents.
    #[error("{file}: has no list of documents{}", under_field(.field))]
    NoDocuments {
        /// The data file.
        file: PathBuf,
        /// `dataset_kwargs.field`.
        field: Option<String>,
    },
    /// A CSV file cannot be taken apart.
    #[error("{file}: is not valid CSV: {source}")]
    Csv {
        /// The data file.
        file: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// A row of a CSV file is longer than its columns.
    #[error("{file}: row {row} has {found} values for {columns} columns; is a value with a comma in it not quoted?")]
    CsvRow {
        /// The data file.
        file: PathBuf,
        /// The row after the names, from 1.
        row: usize,
        /// Columns.
        columns: usize,
        /// Values.
        found: usize,
    },
    /// A Parquet file cannot be read.
    #[error("{file}: cannot be read as Parquet{}: {source}", at_row(.row))]
    Parquet {
        /// The data file.
        file: PathBuf,
        /// The row, from 1, once rows are being read.
        row: Option<usize>,
        /// Why.
        source: Box<parquet::errors::ParquetError>,
    },
    /// A Parquet file is packed with what is not built in.
    #[error(
        "{file}: is packed with {codec}; supported: no packing, snappy, gzip, zstd, lz4: write it again with one of \
         these"
    )]
    ParquetCodec {
        /// The data file.
        file: PathBuf,
        /// `brotli`, ...
        codec: &'static str,
    },
    /// A column of a Parquet file holds what no template can show.
    #[error(
        "{file}: row {row}: the column `{column}` holds {found}; supported: texts, numbers, truth values, lists and \
         structs"
    )]
    ParquetColumn {
        /// The data file.
        file: PathBuf,
        /// The row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// `bytes`, ...
        found: &'static str,
    },
    /// A split holds nothing.
    #[error("task `{task}`: the split `{split}` holds no document; its files: {}", listed(.files))]
    EmptySplit {
        /// The task.
        task: String,
        /// The split.
        split: String,
        /// Its files.
        files: Vec<PathBuf>,
    },
}
