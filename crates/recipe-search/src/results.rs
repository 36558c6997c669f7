//! What a study keeps in its folder, beside the journal of its trials.
//!
//! | file | what | written by |
//! |---|---|---|
//! | `study.toml` | the study, its paths absolute | the start of a search |
//! | `journal.jsonl`, or `journal.sqlite` | every trial, append-only | each trial |
//! | `parents.json` | the parents' and the baselines' scores on the search documents | the start of a search |
//! | `result.json` | the chosen recipe's trial, the confirmation, where the time went | the end of a search |
//! | `best.yaml` | the chosen recipe | the end of a search |
//! | `front/K.yaml` | with several objectives, the Pareto front's recipe with `K` layers removed | the end of a search |
//! | `front/trial-N.yaml` | the same in a space that removes no layers: the recipe of trial `N` | the end of a search |
//! | `test.json` | all scores on the test split | the end of a search, or the report |
//! | `report.html`, `layer_map.svg` | the page; its picture by itself | the report |

use std::path::{Path, PathBuf};

use layer_ir::Recipe;
use layer_runtime::Timings;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tailor_registry::Registry;
use zo_search::History;
use zo_search::storage::{StorageKind, storage_kinds};

use crate::baselines::Baseline;
use crate::baselines::BaselineSettings;
use crate::scores::{Reference, Scores};
use crate::study::Identity;
use crate::{Error, Study, StudyFile};

/// The parents' and baselines' scores on all search documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parents {
    /// The hash of the study's [`Identity`]: what the scores depend on.
    pub identity: String,
    /// How the baselines were made.
    pub settings: BaselineSettings,
    /// Each model of the family as it is, the base first.
    pub models: Vec<ModelScores>,
    /// Each baseline and its scores.
    pub baselines: Vec<ScoredBaseline>,
    /// What retention is measured against.
    pub reference: Reference,
}

impl Parents {
    /// Whether these are the scores of this study, with these baselines.
    pub(crate) fn are_of(&self, identity: &Identity, settings: &BaselineSettings) -> bool {
        self.identity == identity.hash && self.settings == *settings
    }
}

/// A model's name and scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScores {
    /// The name in tables.
    pub name: String,
    /// How many layers it has, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Its scores.
    pub scores: Scores,
}

/// A baseline and its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredBaseline {
    /// Which layers of which model go.
    pub baseline: Baseline,
    /// Its scores on the search documents.
    pub scores: Scores,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// The chosen candidate.
    pub best: Candidate,
    /// All candidates of the confirmation, the chosen one among them, the best by the search first.
    pub confirmation: Vec<Candidate>,
    /// How many trials finished.
    pub trials: usize,
    /// Where the time of the last run of this search went.
    pub time: TimeSpent,
    /// Of a study with several objectives: the trials that no other one beats on the search documents, the fewest
    /// removed layers first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontMember>,
}

/// A trial on the Pareto front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontMember {
    /// The trial.
    pub trial: u64,
    /// How many of the base's layers are gone.
    pub removed: usize,
    /// How many weights are left.
    pub parameters: u64,
    /// The file of its recipe in the study's folder.
    pub file: String,
    /// Its objectives on the search documents, in the order of the study: all are to be small.
    pub objectives: Vec<f64>,
    /// What it retains of the best parents on the search documents.
    pub retention: f64,
    /// What it retains on the documents kept for the confirmation; absent when the study keeps none.
    pub confirmed: Option<f64>,
}

/// A candidate for the result, scored again on documents that the search has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name: a trial or a baseline.
    pub name: String,
    /// The trial, if it is one.
    pub trial: Option<u64>,
    /// Its recipe; YAML in files.
    #[serde(with = "yaml")]
    pub recipe: Recipe,
    /// Scores on the search documents.
    pub search: Scores,
    /// Scores on the documents kept for the confirmation; empty when the study keeps none.
    pub confirm: Scores,
}

/// Seconds of wall time of the trials, and what they were spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSpent {
    /// How many trials were run in that time.
    #[serde(default)]
    pub ran: usize,
    /// Everything from the first ask to the last tell.
    pub trials: f64,
    /// In the models' forward passes.
    pub forward: f64,
    /// Building layers: reading, merging, uploading.
    pub build: f64,
    /// Tokens times layers that plain forward passes of all documents would compute.
    #[serde(default)]
    pub layer_tokens: u64,
    /// Of these, saved as prompts begin alike.
    #[serde(default)]
    pub shared: u64,
    /// Of these, saved as recipes begin alike.
    #[serde(default)]
    pub kept: u64,
}

/// A recipe as the text that a person reads, which also keeps every number to its last bit.
mod yaml {
    use layer_ir::Recipe;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub fn serialize<S: Serializer>(recipe: &Recipe, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&recipe.to_yaml().map_err(ser::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Recipe, D::Error> {
        Recipe::from_yaml(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What a search that came to its end knows: what its folder holds, without reading it again.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedSearch {
    /// The chosen recipe and how it was chosen.
    pub result: SearchResult,
    /// The scores of the models and the baselines on the search documents.
    pub parents: Parents,
    /// Every trial.
    pub history: History,
}

impl FinishedSearch {
    /// Reads what an earlier run left in its folder.
    ///
    /// # Errors
    /// [`Error::NoResult`] before the search has come to its result; [`Error::Io`], [`Error::Results`]; and what the
    /// journal says.
    pub fn read(folder: &StudyFolder) -> Result<Self, Error> {
        let no_result = || Error::NoResult(folder.path().to_path_buf());
        Ok(Self {
            result: folder.result()?,
            parents: folder.read("parents.json")?.ok_or_else(no_result)?,
            history: folder.history()?,
        })
    }
}

impl TimeSpent {
    /// What a runtime spent on `ran` trials in so many seconds of wall time.
    #[must_use]
    pub fn of(ran: usize, seconds: f64, spent: &Timings) -> Self {
        Self {
            ran,
            trials: seconds,
            forward: spent.forward.as_secs_f64(),
            build: spent.build.as_secs_f64(),
            layer_tokens: spent.layer_tokens_asked,
            shared: spent.layer_tokens_shared,
            kept: spent.layer_tokens_kept,
        }
    }

    /// What share of the trials' layer-token work some of it is; 0 when none was asked for.
    #[must_use]
    pub fn work_share(&self, layer_tokens: u64) -> f64 {
        if self.layer_tokens > 0 { layer_tokens as f64 / self.layer_tokens as f64 } else { 0.0 }
    }

    /// What share of the trials' time some of its seconds are; 0 when no trial was run.
    #[must_use]
    pub fn share(&self, seconds: f64) -> f64 {
        if self.trials > 0.0 { seconds / self.trials } else { 0.0 }
    }

    /// Seconds in neither: tokens, scores, the strategy, the journal.
    #[must_use]
    pub fn bookkeeping(&self) -> f64 {
        (self.trials - self.forward - self.build).max(0.0)
    }
}

/// All scores on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// The hash of the tailored recipe.
    pub recipe: String,
    /// Each model of the family as it is, the base first.
    pub models: Vec<ModelScores>,
    /// Each baseline.
    pub baselines: Vec<ModelScores>,
    /// The tailored model, run from its recipe.
    pub tailored: Scores,
    /// The checkpoint that was written of it, loaded back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<ModelScores>,
    /// The trials of the Pareto front, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontScores>,
    /// What retention is measured against: the parents on the test split.
    pub reference: Reference,
}

/// The scores of a trial on the Pareto front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontScores {
    /// The trial.
    pub trial: u64,
    /// Its scores.
    pub scores: Scores,
}

impl TestScores {
    /// The tailored model as it is delivered: the written checkpoint's scores if there is one.
    #[must_use]
    pub fn delivered(&self) -> &Scores {
        self.written.as_ref().map_or(&self.tailored, |written| &written.scores)
    }

    /// The baseline of highest retention.
    #[must_use]
    pub fn best_baseline(&self) -> Option<&ModelScores> {
        let retention = |named: &ModelScores| self.reference.retention(&named.scores);
        self.baselines.iter().max_by(|a, b| retention(a).total_cmp(&retention(b)))
    }
}

/// The folder of a study and the paths in it.
#[derive(Debug, Clone)]
pub struct StudyFolder(PathBuf);

impl StudyFolder {
    /// The folder at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the folder for a new study.
    ///
    /// # Errors
    /// [`Error::OutNotEmpty`] if something stands in it; [`Error::Io`] if it cannot be made.
    pub fn create(&self) -> Result<(), Error> {
        self.check_free()?;
        std::fs::create_dir_all(&self.0).map_err(Error::io(&self.0))
    }

    /// Whether a new study may begin here: the folder is empty, or not there yet.
    ///
    /// # Errors
    /// As [`StudyFolder::create`].
    pub fn check_free(&self) -> Result<(), Error> {
        if is_free(&self.0)? { Ok(()) } else { Err(Error::OutNotEmpty(self.0.clone())) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file of the trials, in whichever of our stores it is; none before the first trial.
    #[must_use]
    pub fn journal(&self) -> Option<PathBuf> {
        self.journal_in(&storage_kinds())
    }

    /// The file of the trials, in whichever of these stores it is; none before the first trial.
    #[must_use]
    pub fn journal_in(&self, stores: &Registry<dyn StorageKind>) -> Option<PathBuf> {
        self.stored_in(stores).map(|(file, _)| file)
    }

    /// All trials so far, in whichever of our stores they are.
    ///
    /// # Errors
    /// [`Error::NoTrial`] before the first one; and what the journal says.
    pub fn history(&self) -> Result<History, Error> {
        self.history_in(&storage_kinds())
    }

    /// All trials so far, in whichever of these stores they are.
    ///
    /// # Errors
    /// As [`StudyFolder::history`].
    pub fn history_in(&self, stores: &Registry<dyn StorageKind>) -> Result<History, Error> {
        let none = || if self.is_study() { Error::NoTrial(self.0.clone()) } else { Error::NotAStudy(self.0.clone()) };
        let (file, kind) = self.stored_in(stores).ok_or_else(none)?;
        Ok(zo_search::Study::read(kind.at(file.as_os_str()))?)
    }

    /// The first of the stores whose file is here.
    fn stored_in<'a>(&self, stores: &'a Registry<dyn StorageKind>) -> Option<(PathBuf, &'a dyn StorageKind)> {
        let files = stores.iter().filter_map(|kind| Some((self.file(kind.file_name()?), kind)));
        files.into_iter().find(|(file, kind)| kind.at(file.as_os_str()).exists().unwrap_or(false))
    }

    fn is_study(&self) -> bool {
        self.file("study.toml").is_file()
    }

    /// The study that was started here.
    ///
    /// # Errors
    /// [`Error::NotAStudy`] if none was.
    pub fn study_file(&self) -> Result<StudyFile, Error> {
        if !self.is_study() {
            return Err(Error::NotAStudy(self.0.clone()));
        }
        StudyFile::read(&self.file("study.toml"))
    }

    /// The same, checked.
    ///
    /// # Errors
    /// As [`StudyFolder::study_file`] and [`StudyFile::check`].
    pub fn study(&self) -> Result<Study, Error> {
        self.study_file()?.check()
    }

    /// The result of the search.
    ///
    /// # Errors
    /// [`Error::NoResult`] while there is none.
    pub fn result(&self) -> Result<SearchResult, Error> {
        self.read("result.json")?.ok_or_else(|| Error::NoResult(self.0.clone()))
    }

    /// Reads one of the JSON files, `None` if it is not there yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Results`].
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.file(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|source| Error::Results { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write_whole(&self.file(name), text)
    }

    /// Makes a folder in it that holds nothing: what an earlier run left in it goes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn fresh(&self, name: &str) -> Result<(), Error> {
        let path = self.file(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(Error::io(&path))?;
        }
        std::fs::create_dir_all(&path).map_err(Error::io(&path))
    }

    /// Writes one of the JSON files, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Results`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let text =
            serde_json::to_string_pretty(value).map_err(|source| Error::Results { path: self.file(name), source })?;
        self.write(name, &text)
    }
}

/// Whether a folder is empty, or not there yet.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn is_free(folder: &Path) -> Result<bool, Error> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io(folder)(error)),
    }
}

/// Whether a file could be written: better known before the work than after it. Leaves nothing behind.
///
/// # Errors
/// [`Error::Io`].
pub fn check_writable(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Err(Error::io(path)(std::io::ErrorKind::IsADirectory.into()));
    }
    let temporary = temporary(path);
    std::fs::write(&temporary, "").and_then(|()| std::fs::remove_file(&temporary)).map_err(Error::io(path))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    name.into()
}

/// Writes a text file under a temporary name and renames it, so that nothing half-written stays under the final one.
///
/// # Errors
/// [`Error::Io`].
pub fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let temporary = temporary(path);
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The write's own error matters more than whether a leftover could be removed.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(Error::io(path))
}
