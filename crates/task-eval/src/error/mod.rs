//! What can go wrong, each with where it went wrong and what to do.

mod components;
mod data;
mod tokenizer;
mod words;

use std::borrow::Cow;
use std::path::PathBuf;

use crate::builtins::{BuiltIn, ColumnProblem};
use crate::code::CodeError;
use crate::model::ModelError;
use words::{did_you_mean, listed, or_unread, words};

pub use components::{FilterError, MetricError, SetupError};
pub use data::DataError;
pub use tokenizer::TokenizerError;
pub(crate) use words::short;

/// What can go wrong between a task file and its scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Files.
    /// A file could not be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("{file}: cannot be written: {source}")]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A settings file is not JSON.
    #[error("{file}: is not valid JSON: {source}")]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A task's programs cannot be run.
    #[error("task `{task}`: {source}")]
    Code {
        /// The task.
        task: String,
        /// Why.
        source: CodeError,
    },
    /// The model's tokenizer or its chat template.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Where the documents are, and what their files hold.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A chat template fails on a conversation.
    #[error("task `{task}`, document {document}: the model's chat template refuses the conversation: {source}")]
    ChatTemplate {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// Why.
        source: Box<minijinja::Error>,
    },
    /// A chat template does not write the beginning of an answer.
    #[error(
        "task `{task}`, document {document}: the model's chat template leaves out the beginning of the answer, \
         {prefix:?} (`gen_prefix`), so the model cannot go on with it; set `gen_prefix: null`, or evaluate in plain \
         text"
    )]
    ChatPrefixLost {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The beginning of the answer.
        prefix: String,
    },

    // Task files.
    /// A task file is not YAML.
    #[error("{file}: is not valid YAML: {source}")]
    Yaml {
        /// The task file.
        file: PathBuf,
        /// Where and why.
        source: serde_yaml_ng::Error,
    },
    /// A task file is YAML of the wrong kind.
    #[error("{file}: a task file is a mapping of keys; this one is not")]
    NotAMapping {
        /// The task file.
        file: PathBuf,
    },
    /// A task file says neither `task` nor `group`.
    #[error("{file}: says neither `task: NAME` nor `group: NAME`; is it meant to be included by others?")]
    Nameless {
        /// The task file.
        file: PathBuf,
    },
    /// No task, group or tag has this name.
    #[error(
        "no task, group or tag is named `{name}`{}; tasks are looked for in {}{}",
        did_you_mean(.near), listed(.roots), or_unread(.unread.as_deref())
    )]
    UnknownTask {
        /// The name asked for.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
        /// Where task files were looked for.
        roots: Vec<PathBuf>,
        /// Why the first file there that cannot be read cannot: it may be the one.
        unread: Option<Box<Error>>,
    },
    /// A group passes on to its tasks what they refuse.
    #[error("{file}: what this group says for its tasks is refused: {source}")]
    PassedOn {
        /// The group's file.
        file: PathBuf,
        /// What a task's file would say to it.
        source: Box<Error>,
    },
    /// A group holds a name that no task, group or tag has.
    #[error(
        "{file}: `task` holds `{name}`, but no task, group or tag is named so{}; tasks are looked for in {}{}",
        did_you_mean(.near), listed(.roots), or_unread(.unread.as_deref())
    )]
    UnknownMember {
        /// The group's file.
        file: PathBuf,
        /// The name in it.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
        /// Where task files were looked for.
        roots: Vec<PathBuf>,
        /// Why the first file there that cannot be read cannot: it may be the one.
        unread: Option<Box<Error>>,
    },
    /// The same task was asked for twice.
    #[error("the task `{task}` is asked for twice; name it, or the group that holds it, only once")]
    TaskTwice {
        /// The task.
        task: String,
    },
    /// A task file, or an override, has a key that tasks do not have.
    #[error("{file}: unknown key `{key}`")]
    UnknownKey {
        /// The task file.
        file: PathBuf,
        /// The key, with its path: `fewshot_config.splitt`.
        key: String,
    },
    /// A required key is missing.
    #[error("{file}: the key `{key}` is missing")]
    MissingKey {
        /// The task file.
        file: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A key's value has the wrong type or is out of range.
    #[error("{file}: `{key}` should be {expected}, but is {found}")]
    BadValue {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// What would be right.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A value is a Python function that is not built in.
    #[error(
        "{file}: `{key}` is the Python function `{function}`, which is not built in for this key; this evaluator \
         runs no Python: write it as a template, or prepare the data beforehand"
    )]
    PythonFunction {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// `module.function`.
        function: String,
    },
    /// The Python file of a function that is built in says something else.
    #[error(
        "{file}: `{key}`: {source_file} is not the file of lm-evaluation-harness 0.4.13 after which the built-in \
         function was written; if that one is meant all the same, write `{key}: !native {}`", .function.name()
    )]
    OtherPythonSource {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// The Python file.
        source_file: PathBuf,
        /// The built-in function.
        function: BuiltIn,
    },
    /// Something of lm-evaluation-harness that is not built here.
    #[error("{file}: `{key}: {value}` is not supported here; supported: {supported}")]
    Unsupported {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// The value, in short.
        value: String,
        /// What is.
        supported: Cow<'static, str>,
    },
    /// Files include each other.
    #[error("{file}: `include: {include}` comes back to a file that is being read, or is included twice")]
    IncludeTwice {
        /// The including file.
        file: PathBuf,
        /// The included one.
        include: PathBuf,
    },
    /// An included file is not there.
    #[error("{file}: `include: {include}`: cannot be read: {source}")]
    Include {
        /// The including file.
        file: PathBuf,
        /// The included one.
        include: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Groups hold each other.
    #[error("{file}: the group `{group}` holds itself")]
    GroupCycle {
        /// The group's file.
        file: PathBuf,
        /// The group.
        group: String,
    },
    /// A metric, an aggregation or a filter that is not there, or that cannot be made ready with its parameters.
    #[error("{file}: `{key}`: {source}")]
    Setup {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// Why not.
        source: SetupError,
    },
    /// A template that cannot be parsed.
    #[error("{file}: `{key}` is not a valid template: {source}")]
    TemplateSyntax {
        /// The task file.
        file: PathBuf,
        /// The key, with its path.
        key: String,
        /// Where and why.
        source: Box<minijinja::Error>,
    },
    /// A limit of no documents.
    #[error("task `{task}`: a limit of {limit} leaves no document to evaluate")]
    NothingToEvaluate {
        /// The task.
        task: String,
        /// The limit.
        limit: f64,
    },
    /// A document is asked for that the split does not have.
    #[error("task `{task}` has no document {sample}: the split has {len}, counted from 0")]
    NoSuchSample {
        /// The task.
        task: String,
        /// The document's place in the split.
        sample: usize,
        /// The documents of the split.
        len: usize,
    },
    /// The task's data have no such split.
    #[error("task `{task}` has no split `{split}`; it has {}", words(.known))]
    UnknownSplit {
        /// The task.
        task: String,
        /// The split asked for.
        split: String,
        /// The splits there are.
        known: Vec<String>,
    },
    /// The task says neither `test_split` nor `validation_split`.
    #[error("task `{task}`: says neither `test_split` nor `validation_split`, so there is nothing to evaluate on")]
    NoSplit {
        /// The task.
        task: String,
    },
    /// No documents to draw shots from.
    #[error("task `{task}`: there is nothing to draw shots from: set `fewshot_split` or `fewshot_config.samples`")]
    NoShots {
        /// The task.
        task: String,
    },
    /// More shots are asked for than there are documents.
    #[error(
        "task `{task}`: {asked} shots are asked for, but only {available} documents can be drawn{}",
        if *.excluding { " (one more than the shots is drawn, as the document itself is left out)" } else { "" }
    )]
    TooFewShots {
        /// The task.
        task: String,
        /// Shots asked for.
        asked: usize,
        /// Documents in the pool.
        available: usize,
        /// Whether the evaluated document is left out of its own shots.
        excluding: bool,
    },

    // Documents.
    /// A built-in function does not find in a document what it reads.
    #[error("task `{task}`, document {document}: `{}`: {source}", .function.name())]
    BuiltIn {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The function.
        function: BuiltIn,
        /// What is missing.
        source: ColumnProblem,
    },
    /// A template fails on a document.
    #[error("task `{task}`, document {document}: `{key}` cannot be rendered: {source}")]
    Template {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The key.
        key: &'static str,
        /// Why.
        source: Box<minijinja::Error>,
    },
    /// A rendered value is not what its key needs.
    #[error("task `{task}`, document {document}: `{key}` should give {expected}, but gives {found}")]
    BadRendered {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What it gives.
        found: String,
    },
    /// A text to be scored that is empty.
    #[error("task `{task}`, document {document}: the text whose likelihood is asked for is empty")]
    EmptyContinuation {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
    },
    /// A context of which no token is left.
    #[error(
        "task `{task}`, document {document}: the context is whitespace alone, and this tokenizer adds no begin token, \
         so nothing is left to continue"
    )]
    EmptyContext {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
    },
    /// A continuation that does not fit.
    #[error(
        "task `{task}`, document {document}: a continuation of {tokens} tokens does not fit the window of {max_length}"
    )]
    ContinuationTooLong {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// Its length.
        tokens: usize,
        /// The window.
        max_length: usize,
    },
    /// Generation leaves no room for a prompt.
    #[error("task `{task}`: max_gen_toks is {max_new_tokens}, which leaves no room in the window of {max_length}")]
    NoRoomToGenerate {
        /// The task.
        task: String,
        /// Tokens to generate.
        max_new_tokens: usize,
        /// The window.
        max_length: usize,
    },
    /// A document's index beyond the task.
    #[error("task `{task}` has {len} documents, so there is no document {index}")]
    NoSuchDocument {
        /// The task.
        task: String,
        /// The index asked for.
        index: usize,
        /// Documents there are.
        len: usize,
    },
    /// A filter fails on an answer.
    #[error("task `{task}`, document {document}: the filter `{filter}` {source}")]
    Filter {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The filter's function.
        filter: String,
        /// What it stumbles over.
        source: FilterError,
    },
    /// A metric cannot compare an answer with the right ones.
    #[error("task `{task}`, document {document}: the metric `{metric}` {source}")]
    Metric {
        /// The task.
        task: String,
        /// The document's index in its split.
        document: usize,
        /// The metric's name.
        metric: String,
        /// Why not.
        source: MetricError,
    },

    // Models.
    /// The model sees fewer tokens than the task was prepared for.
    #[error(
        "task `{task}` was prepared for a window of {prepared} tokens, but the model sees {model}; prepare it with \
         `Options {{ max_length: Some({model}), .. }}`"
    )]
    WindowTooSmall {
        /// The task.
        task: String,
        /// The window it was prepared for.
        prepared: usize,
        /// The model's.
        model: usize,
    },
    /// The model failed.
    #[error("task `{task}`: the model failed: {source}")]
    Model {
        /// The task.
        task: String,
        /// Why.
        source: ModelError,
    },
    /// The model gave more or fewer answers than it was asked for.
    #[error("task `{task}`: the model was asked {asked} questions and gave {answered} answers")]
    WrongCount {
        /// The task.
        task: String,
        /// Requests.
        asked: usize,
        /// Answers.
        answered: usize,
    },
}

impl Error {
    /// The key of a task file that is refused, with its path.
    pub(crate) fn refused_key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::BadValue { key, .. }
            | Self::Unsupported { key, .. }
            | Self::Setup { key, .. }
            | Self::PythonFunction { key, .. } => Some(key),
            _ => None,
        }
    }
}
