//! What can go wrong between a study file and a finished report, each with what to do about it.

use std::path::{Path, PathBuf};

/// Errors of this crate: its own situations, and those of the crates it composes.
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
    /// A study file is not valid TOML, or has an unknown or missing key.
    #[error("{path}: {source}")]
    StudyFile {
        /// The study file.
        path: PathBuf,
        /// What the TOML reader said, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A value in a study file makes no sense.
    #[error("{path}: `{key}` is {found}; it must be {expected}")]
    StudyValue {
        /// The study file.
        path: PathBuf,
        /// The key, dotted from the top.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// A name in a study file that no table has, or parameters that do not fit it.
    #[error("{path}: `{key}`: {source}")]
    StudyChoice {
        /// The study file.
        path: PathBuf,
        /// The key, dotted from the top.
        key: &'static str,
        /// What the table says.
        source: Box<tailor_registry::Error>,
    },
    /// A task of a study's store is none that this version knows.
    #[error(
        "the task {task} of the study is none that this version of tailor can do: {source}; run the same version \
             everywhere"
    )]
    Job {
        /// Its key.
        task: String,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// A worker does not have what the study is about.
    #[error(
        "{store}: `{key}` is {there} where the study is led, and {here} on this machine; a worker needs the same models, \
         task files and version of tailor"
    )]
    OtherMachine {
        /// The study's store.
        store: String,
        /// The key of the study that differs.
        key: String,
        /// Its value there.
        there: String,
        /// Its value here.
        here: String,
    },
    /// A task is one of a study with other models or documents, under the same name in the same store.
    #[error("the task {task} is of a study with the identity {wanted}, and this one has {found}")]
    OtherIdentity {
        /// The key of the task.
        task: String,
        /// The hash of what its outcome depends on.
        wanted: String,
        /// That of the study here.
        found: String,
    },
    /// The process was asked to end while it led a study, which others may go on with.
    #[error(
        "ended on request; whoever else works on the study leads it now, or `tailor work` and `tailor resume` go on"
    )]
    Ended,
    /// Several processes cannot work on a study.
    #[error(
        "the study's store `{store}` is for one process; begin the study with `store = \"directory\"` (a folder that \
         all machines share) or a PostgreSQL database's URL"
    )]
    NotShared {
        /// The key `store` of the study.
        store: String,
    },
    /// A store holds no study yet.
    #[error("{store}: nobody has begun this study; begin it with `tailor search`, whose study names this store")]
    NoStudyInStore {
        /// The store.
        store: String,
    },
    /// A study cannot be written as TOML.
    #[error("the study cannot be written as TOML: {0}")]
    StudyText(#[source] Box<toml::ser::Error>),
    /// A results file of a study folder does not parse.
    #[error("{path}: {source}; remove the file to have it computed again")]
    Results {
        /// The file.
        path: PathBuf,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The folder holds no study.
    #[error("{0}: no study here (no `study.toml`)")]
    NotAStudy(PathBuf),
    /// A new search was to start in a folder that is not empty.
    #[error("{0}: the folder is not empty; choose another for the study, or resume the study in it")]
    OutNotEmpty(PathBuf),
    /// The scheduler of a study refuses its rungs or its parameters.
    #[error("{file}: the scheduler `{name}` of `search.scheduler`: {source}", file = file.display())]
    Scheduler {
        /// The study file.
        file: PathBuf,
        /// The scheduler.
        name: String,
        /// What it says.
        source: Box<zo_search::Error>,
    },
    /// A study was to go on that is not the one whose trials are there.
    #[error(
        "{journal}: `{key}` was {before} and is {now} now, so its outcomes mean something else; set it back, or \
         start a new study",
        journal = journal.display()
    )]
    ChangedStudy {
        /// The file of the trials.
        journal: PathBuf,
        /// The key of the study, or what else has changed.
        key: String,
        /// What it was when the study was started.
        before: String,
        /// What it is now.
        now: String,
    },
    /// A study was to begin with the outcomes of one in which they mean something else.
    #[error(
        "{journal}: `{key}` is {theirs} there and {ours} in this study, so its outcomes mean something else; make them \
         equal, or search without a warm start",
        journal = journal.display()
    )]
    OtherMeaning {
        /// The file of the other study's trials.
        journal: PathBuf,
        /// The key of the studies, or what else differs.
        key: String,
        /// What it is in the other study.
        theirs: String,
        /// What it is in this one.
        ours: String,
    },
    /// A journal does not say what its outcomes depend on.
    #[error(
        "{journal}: its header does not say what its outcomes depend on ({source}); a search of another version or by \
         another program wrote it, so start a new study",
        journal = journal.display()
    )]
    UnknownIdentity {
        /// The file of the trials.
        journal: PathBuf,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The study has no finished trial to take a recipe from.
    #[error("{0}: no trial has finished yet; resume the study first")]
    NoTrial(PathBuf),
    /// A trial was asked for that the study does not have.
    #[error("{study}: no finished trial {id}; the study has {count} finished trials")]
    UnknownTrial {
        /// The study's folder.
        study: PathBuf,
        /// The id that was asked for.
        id: u64,
        /// How many trials finished.
        count: usize,
    },
    /// The task has no such metric.
    #[error("task `{task}` reports no metric `{metric}`; it reports {found}")]
    UnknownMetric {
        /// The task.
        task: String,
        /// The metric that the study names.
        metric: String,
        /// The metrics that the task reports.
        found: String,
    },
    /// The task's metric gets better as it gets smaller, which retention cannot mean.
    #[error(
        "task `{task}`: less is better in its metric `{metric}`; a study needs one of which more is better, such as acc"
    )]
    LessIsBetter {
        /// The task.
        task: String,
        /// The metric that the study names.
        metric: String,
    },
    /// The objective is a loss, which the task does not give.
    #[error("task `{task}` gives no loss (it generates text); set `search.objective` to \"retention\"")]
    NoLoss {
        /// The task.
        task: String,
    },
    /// A run history of SMAC cannot be begun with.
    #[error("{}: {reason}", .path.display())]
    RunHistory {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No parent gets anything right, so that there is nothing to retain.
    #[error(
        "task `{task}`: no model of the family scores above 0 on its documents, so there is nothing to retain; leave \
         it out of the study"
    )]
    NothingToRetain {
        /// The task.
        task: String,
    },
    /// A task has too few documents to be split for confirmation.
    #[error("task `{task}` has {documents} validation documents; at least {needed} are needed")]
    TooFewDocuments {
        /// The task.
        task: String,
        /// How many there are.
        documents: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A recipe is not a point of the space.
    #[error("output layer {layer}: {reason}, which the space cannot express")]
    NotInSpace {
        /// The output layer.
        layer: usize,
        /// What the space lacks.
        reason: &'static str,
    },
    /// The layers of a recipe are those of a point of the space, but not all else.
    #[error(
        "the space has no point for the recipe: its ends, its bridges, its dtype or its vocabulary are others than the \
         space can express"
    )]
    NoPoint,
    /// The Pareto front names a trial that the journal does not have.
    #[error(
        "result.json has trial {trial} on the front, which the journal does not have; remove result.json and resume \
         the study"
    )]
    NoTrialOfFront {
        /// The trial.
        trial: u64,
    },
    /// The study has not come to its result yet.
    #[error("{0}: the search has no result yet; resume it to its end")]
    NoResult(PathBuf),
    /// A model could not be run.
    #[error("{what}: {source}")]
    Model {
        /// Which model.
        what: String,
        /// What the runtime said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// From checkpoints and recipes.
    #[error(transparent)]
    LayerIr(#[from] layer_ir::Error),
    /// From merging and export.
    #[error(transparent)]
    MergeOps(Box<merge_ops::Error>),
    /// From the search.
    #[error(transparent)]
    ZoSearch(#[from] zo_search::Error),
    /// From tasks and their scores.
    #[error(transparent)]
    TaskEval(#[from] task_eval::Error),
    /// What an objective reads beside the scores could not be had.
    #[error("task `{task}`: {source}")]
    Objective {
        /// The task.
        task: String,
        /// Why.
        source: Box<task_eval::ObjectiveError>,
    },
    /// An objective that reads prompts, and a task whose documents are longer than the model's window.
    #[error(
        "task `{task}` has documents longer than the model's window, and `search.objective` reads whole prompts; take \
         \"loss\""
    )]
    LongPrompts {
        /// The task.
        task: String,
    },
    /// From the bridges over removed layers.
    #[error(transparent)]
    Bridge(Box<crate::bridges::FitError>),
    /// From the runtime and its devices.
    #[error(transparent)]
    Runtime(Box<layer_runtime::Error>),
}

impl From<merge_ops::Error> for Error {
    fn from(error: merge_ops::Error) -> Self {
        Self::MergeOps(Box::new(error))
    }
}

impl From<crate::bridges::FitError> for Error {
    fn from(error: crate::bridges::FitError) -> Self {
        Self::Bridge(Box::new(error))
    }
}

impl From<layer_runtime::Error> for Error {
    fn from(error: layer_runtime::Error) -> Self {
        Self::Runtime(Box::new(error))
    }
}

impl Error {
    /// Whether the cause lies in the recipe, which cannot be built, and not in the machine.
    pub(crate) fn is_of_the_recipe(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.is::<merge_ops::Error>() || error.is::<layer_ir::Error>() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What went wrong and why, each cause behind `link` and the message that it caused.
    #[must_use]
    pub fn with_causes(&self, link: &str) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            let message = source.to_string();
            // Many messages contain their cause's.
            if !text.contains(&message) {
                text = format!("{text}{link}{message}");
            }
            cause = source.source();
        }
        text
    }

    /// The same error, of a value or a name in this study file.
    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        if let Self::StudyValue { path, .. } | Self::StudyChoice { path, .. } = &mut self {
            *path = file.to_path_buf();
        }
        self
    }

    /// Names a key of a study file, what stands there, and what may stand there.
    pub(crate) fn value(
        path: &Path,
        key: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::StudyValue { path: path.to_path_buf(), key, found: found.to_string(), expected: expected.into() }
    }

    /// Names the study file and the key that a table is asked by.
    pub(crate) fn choice<'a>(path: &'a Path, key: &'static str) -> impl Fn(tailor_registry::Error) -> Self + 'a {
        move |source| Self::StudyChoice { path: path.to_path_buf(), key, source: Box::new(source) }
    }

    /// Names the file an operating-system error is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }
}

/// A parameter that a space refuses while it is checked or opened: `settings.count("remove")?`. The study, which knows
/// its file, puts in where it stands.
impl From<tailor_registry::Error> for Error {
    fn from(source: tailor_registry::Error) -> Self {
        Self::choice(Path::new(""), "space")(source)
    }
}
