//! One task, as its file says it, after checking every key.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use tailor_registry::Settings;

use super::output_type::OutputType;
use crate::builtins::BuiltIn;
use crate::components::Components;

/// A task: its data, how a document becomes requests, and what is made of the answers.
///
/// Plain data, made by [`TaskLibrary`](super::TaskLibrary); the fields are the keys of the task file.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskConfig {
    /// The file it was read from; its data are looked for beside it.
    pub file: PathBuf,
    /// The name.
    pub task: String,
    /// The name shown in tables (`task_alias`); [`TaskConfig::task`] if None.
    pub alias: Option<String>,
    /// Other names under which it can be asked for, together with all tasks that have them.
    pub tags: Vec<String>,
    /// Where its documents are.
    pub data: DataSource,
    /// The split that few-shot documents come from by default.
    pub training_split: Option<String>,
    /// Evaluated when there is no test split.
    pub validation_split: Option<String>,
    /// The evaluated split.
    pub test_split: Option<String>,
    /// The split that few-shot documents come from. If None: the training split, else the validation split, else the
    /// test split.
    pub fewshot_split: Option<String>,
    /// What is made of each document before all else.
    pub process_docs: Option<BuiltIn>,
    /// What is asked of the model.
    pub output_type: OutputType,
    /// The question; a number where each choice has a question of its own, then that of the right one.
    pub doc_to_text: ValueSource,
    /// The answer: a text, a number of a choice, or a list of either.
    pub doc_to_target: ValueSource,
    /// The choices. A task of multiple choice has them, another may: then its answer can be a choice's number.
    pub doc_to_choice: Option<ValueSource>,
    /// Stands before all else; rendered with the evaluated document.
    pub description: String,
    /// Between question and answer; a space by default.
    pub target_delimiter: String,
    /// After each shot; two line feeds by default.
    pub fewshot_delimiter: String,
    /// The beginning of the answer, given to the model: a column's name or a template.
    pub gen_prefix: Option<String>,
    /// How shots are drawn and written.
    pub fewshot: FewshotConfig,
    /// The number of shots, unless [`Options`](crate::Options) say another; exactly 0 holds against them, None is 0.
    pub num_fewshot: Option<usize>,
    /// When generation ends.
    pub generation: GenerationConfig,
    /// How many answers a document has, from 1, the default, to 10000. Decoding is greedy, so they are the same text.
    pub repeats: usize,
    /// What is made of the answers before they are scored.
    pub filters: Vec<FilterPipeline>,
    /// What the metrics observe, where it is not what they always do.
    pub process_results: Option<BuiltIn>,
    /// The numbers asked for.
    pub metrics: Vec<MetricConfig>,
    /// `metadata.version`, or the string `Yaml`.
    pub version: Value,
    /// The tables in which the names of its metrics and filters are found.
    pub(crate) components: Arc<Components>,
    /// See [`TaskConfig::raw`].
    pub(super) raw: Map<String, Value>,
}

/// Where a task's documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataSource {
    /// Files named in the task.
    Files {
        /// By split, in the order in which their documents count; paths as the task writes them.
        files: IndexMap<String, Vec<String>>,
        /// `dataset_path`, and what `dataset_kwargs` say about it.
        format: DataFormat,
    },
    /// A data set of the hub that lies in a folder: `ROOT/dataset_path/dataset_name/SPLIT*.jsonl`, or `.json`, `.csv`,
    /// `.parquet`.
    Folder {
        /// `dataset_path`: `Rowan/hellaswag`.
        path: String,
        /// `dataset_name`.
        name: Option<String>,
    },
}

/// What a data file is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataFormat {
    /// JSON lines, one array, or one object.
    Json {
        /// The key that holds the documents, when a file is one object.
        field: Option<String>,
    },
    /// Comma-separated values.
    Csv {
        /// The ASCII character between two values.
        separator: u8,
        /// The columns' names; in the first line, if None.
        columns: Option<Vec<String>>,
    },
    /// Parquet.
    Parquet,
}

/// How a value is read off a document.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueSource {
    /// The same number for each document.
    Int(i64),
    /// A column's name if the evaluated split has such a column, else a Jinja template.
    Text(String),
    /// The same list for each document.
    List(Vec<Value>),
    /// A function of the document.
    BuiltIn(BuiltIn),
}

/// `fewshot_config`; what it leaves out is as in the task itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FewshotConfig {
    /// Which documents of the pool are taken.
    pub sampler: Sampler,
    /// The pool's split.
    pub split: Option<String>,
    /// What is made of that split's documents.
    pub process_docs: Option<BuiltIn>,
    /// The pool, when no split is named; as it is.
    pub samples: Option<Vec<Map<String, Value>>>,
    /// The question of a shot.
    pub doc_to_text: ValueSource,
    /// The answer of a shot.
    pub doc_to_target: ValueSource,
    /// The choices of a shot.
    pub doc_to_choice: Option<ValueSource>,
    /// The beginning of a shot's answer.
    pub gen_prefix: Option<String>,
    /// After each shot.
    pub fewshot_delimiter: String,
    /// Between a shot's question and answer.
    pub target_delimiter: String,
}

/// Which documents of the pool become shots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// Drawn anew for each document: `default`.
    Default,
    /// The first ones, the same for each document: `first_n`.
    FirstN,
}

/// `generation_kwargs`, as far as greedy decoding goes.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationConfig {
    /// Strings that end an answer and are no part of it; the fewshot delimiter by default.
    pub until: Vec<String>,
    /// At most so many tokens; 256 by default.
    pub max_new_tokens: usize,
    /// As written, for the samples' `arguments`.
    pub raw: Map<String, Value>,
}

/// One entry of `filter_list`.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterPipeline {
    /// Stands behind the comma in `exact_match,strict-match`.
    pub name: String,
    /// One after the other.
    pub steps: Vec<FilterConfig>,
}

/// One step of a [`FilterPipeline`]: a filter of the table, with its checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterConfig {
    /// The filter's name; `custom` for a function of the task.
    pub function: String,
    /// That function, which makes programs of answers.
    pub custom: Option<BuiltIn>,
    /// Its parameters, defaults included.
    pub settings: Settings,
}

/// One entry of `metric_list`: a metric of the table, with its checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricConfig {
    /// The metric's name.
    pub metric: String,
    /// What results call it: its name, but that of `pass_at_k` has its k in it.
    pub name: String,
    /// The name of the aggregation by which the documents' observations become one number.
    pub aggregation: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The metric's parameters, defaults included.
    pub settings: Settings,
}
