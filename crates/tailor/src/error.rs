//! What can go wrong on the command line and in the report, each with what to do about it.
//!
//! The library's messages name a cause and what would help, but no command, as a program may be what uses it. Which
//! command helps is added here, for those who typed one.

use std::path::PathBuf;

use layer_ir::gptailor::Problem;
use recipe_search::Error as SearchError;

/// Errors of the command line and the report: their own situations, and those of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A model was asked for, and the path is a study.
    #[error(
        "{0}: a study is no model; write its result with `tailor export`, or give one of its recipes, such as its \
         best.yaml"
    )]
    NotAModel(PathBuf),
    /// The system takes no handlers of signals.
    #[error("signals that end the process cannot be waited for: {0}")]
    Signals(#[source] std::io::Error),
    /// A value on the command line that means nothing; refused before any work is done.
    #[error("--{option} is {found}; it must be {expected}")]
    BadOption {
        /// The option, without its dashes.
        option: &'static str,
        /// What was given.
        found: String,
        /// What may be given.
        expected: &'static str,
    },
    /// Bridges were asked for, and there is nothing to bridge.
    #[error(
        "{0}: no layer taken from one model is followed by a later one than that model's next, so there is no gap to \
         bridge"
    )]
    NoGap(PathBuf),
    /// A look at the layers without text.
    #[error("no text to walk through the model; name tasks (--tasks) or files (--text)")]
    NoScreenText,
    /// A training without text.
    #[error("no text to train on; name a study (--study), tasks (--tasks) or files (--text)")]
    NoText,
    /// Too few documents for a training.
    #[error("{documents} documents with a right answer; at least one to train on and one to hold back are needed")]
    TooLittleText {
        /// How many there are.
        documents: usize,
    },
    /// A distillation without a teacher.
    #[error(
        "no teacher whose predictions could be learnt; name a study (--study), whose best models teach, or a model \
         (--teacher), or learn the text itself (--objective lm)"
    )]
    NoTeacher,
    /// Text that nobody could write.
    #[error(
        "no teacher that could write the documents of --generate; name a study (--study), whose best models teach, or \
         a model (--teacher)"
    )]
    NoWriter,
    /// Text that begins nowhere.
    #[error(
        "no task's training prompt from which a teacher could write the documents of --generate; name a study \
         (--study) or tasks (--tasks) whose prompts are shorter than the teacher's window"
    )]
    NoPrompt,
    /// A teacher of other tokens.
    #[error(
        "teacher `{teacher}` knows {found} tokens, the model {expected}; only a model with the same tokens can teach it"
    )]
    TeacherVocabulary {
        /// The teacher.
        teacher: String,
        /// Its tokens.
        found: usize,
        /// The model's.
        expected: usize,
    },
    /// A teacher whose logits are no distribution.
    #[error("{0}: the model's logits are not finite, so it cannot teach")]
    BadTeacher(String),
    /// Another process heals to the same output.
    #[error("{0}: another `tailor heal` works here; wait for it, or choose another output")]
    Busy(PathBuf),
    /// From training.
    #[error(transparent)]
    Train(Box<layer_train::Error>),
    /// From files of text.
    #[error(transparent)]
    Text(Box<task_eval::ObjectiveError>),
    /// A model was asked for, and the path is a result of a search of auto-merge-llm.
    #[error(
        "{path}: a result of auto-merge-llm, and no recipe yet; `tailor import {path} --models MODELS.toml -o \
         RECIPE.yaml` makes one of it",
        path = .0.display()
    )]
    ImportFirst(PathBuf),
    /// An option of `tailor import` for results of another search.
    #[error("--{option} means nothing to {file}, a result of {kind}; leave it out", file = file.display())]
    OtherKind {
        /// The option, without its dashes.
        option: &'static str,
        /// The result.
        file: PathBuf,
        /// The search that it comes from.
        kind: layer_ir::gptailor::Kind,
    },
    /// What a path is could not be told by its kind or its extension.
    #[error("{0}: neither a checkpoint folder, nor a recipe (.yaml), nor a study (.toml, or the folder of one)")]
    UnknownPath(PathBuf),
    /// A page cannot be served at an address.
    #[error("{host} port {port}: {source}{}", serve_advice(.source))]
    Listen {
        /// The host, as it was given.
        host: String,
        /// The port.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The server of a page ended.
    #[error("the page is not served any more: {0}")]
    Serve(#[source] std::io::Error),
    /// A token that could be guessed, or is no part of an address.
    #[error("the token has {0}; it must have at least 16 characters, each a letter, a digit, `-` or `_`")]
    BadToken(&'static str),
    /// The report's template failed; a defect of Tailor.
    #[error("the report could not be rendered: {0}")]
    Template(#[source] minijinja::Error),
    /// From the library, or from a crate below it.
    #[error(transparent)]
    Search(SearchError),
}

/// Whatever the library can hold is the library's: so `?` works on errors of all crates below.
impl<E: Into<SearchError>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Search(error.into())
    }
}

impl Error {
    /// An error of training.
    #[must_use]
    pub fn train(error: layer_train::Error) -> Self {
        Self::Train(Box::new(error))
    }

    /// An error of files of text.
    #[must_use]
    pub fn text(error: task_eval::ObjectiveError) -> Self {
        Self::Text(Box::new(error))
    }

    /// What went wrong and why, each cause behind `link` and the message that it caused, and which command helps.
    ///
    /// A cause whose words stand in the message already is not said again.
    ///
    /// ```
    /// let error = tailor::Error::from(recipe_search::Error::NoResult("found".into()));
    /// let text = error.with_causes("\n  because: ");
    /// assert!(text.ends_with("`tailor resume found` goes on with the study"), "{text}");
    /// ```
    #[must_use]
    pub fn with_causes(&self, link: &str) -> String {
        match self {
            Self::Search(error) => {
                let advice = advice(error).map_or_else(String::new, |advice| format!("\n{advice}"));
                error.with_causes(link) + &advice
            }
            other => other.to_string(),
        }
    }
}

/// What helps against an address that cannot be had.
fn serve_advice(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    match source.kind() {
        AddrInUse => "; something is served there already: choose another port, or 0 for any free one",
        AddrNotAvailable => "; this machine has no such address",
        PermissionDenied => "; ports below 1024 are for administrators: choose another one",
        _ => "",
    }
}

/// The command that helps in a situation of the library; none where its message says all that there is to do.
fn advice(error: &SearchError) -> Option<String> {
    match error {
        SearchError::StudyFile { .. } => Some("`tailor search --help` shows a minimal study".to_owned()),
        SearchError::NotAStudy(_) => Some("`tailor search STUDY.toml --out DIR` makes a study".to_owned()),
        SearchError::OutNotEmpty(folder) => {
            let folder = folder.display();
            Some(format!(
                "choose another folder with `--out`, or go on with the study in it by `tailor resume {folder}`"
            ))
        }
        SearchError::LayerIr(layer_ir::Error::Json { source, .. }) if source.is_eof() => {
            Some("the file ends too early: download or copy it again".to_owned())
        }
        SearchError::LayerIr(layer_ir::Error::Gptailor { problem, .. }) => import_advice(problem).map(str::to_owned),
        SearchError::LayerIr(error) if is_not_downloaded(error) => {
            Some("`--download`, or `download = true` in a study, downloads a model of the hub".to_owned())
        }
        SearchError::TaskEval(task_eval::Error::Data(task_eval::DataError::NoLocalData { .. })) => {
            Some("`tailor eval --download`, or `download = true` in a study, downloads it".to_owned())
        }
        SearchError::NoTrial(folder) | SearchError::NoResult(folder) => {
            Some(format!("`tailor resume {}` goes on with the study", folder.display()))
        }
        _ => None,
    }
}

/// Whether a model is not here, and nothing was said of downloads.
fn is_not_downloaded(error: &layer_ir::Error) -> bool {
    match error {
        layer_ir::Error::ModelNotFound { model, .. } => tailor_hub::Repo::model(model).is_ok(),
        layer_ir::Error::Hub { source, .. } => matches!(**source, tailor_hub::Error::Incomplete { .. }),
        _ => false,
    }
}

/// The option of `tailor import` that helps with a parameter of a result.
fn import_advice(problem: &Problem) -> Option<&'static str> {
    Some(match problem {
        Problem::Candidates { .. } => "`--models` names the base, and the variants in the order of the search",
        Problem::UnknownModel { .. } | Problem::AmbiguousModel { .. } | Problem::SameModel { .. } => {
            "`variants = { \"NAME\" = \"PATH\" }` in the file of `--models` calls a model so"
        }
        Problem::FilterOrder { .. } => "`--filters FIRST,SECOND` says it",
        Problem::Positions { .. } => "`--fix-layers N` says how many layers at either end were not searched",
        Problem::TooSmall => "`--scale-site mlp` scales the MLP's output",
        _ => return None,
    })
}
