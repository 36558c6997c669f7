//! What a study keeps in its folder, beside the journal of its trials.
//!
//! | file | what | written by |
//! |---|---|---|
//! | `study.toml` | the study, its paths absolute | the start of a search |
//! | `journal.jsonl`, or `journal.sqlite` | every trial, append-only | each trial |
//! | `parents.json` | the parents' and the baselines' scores on the search documents | the start of a search |
//! | `result.json` | the chosen recipe's trial, the confirmation, where the time went | the end of a search |
//! | `bridges/` | with bridges, each model's statistics, and the bridges of kept recipes | the start and the end |
//! | `best.yaml` | the chosen recipe | the end of a search |
//! | `front/K.yaml` | with several objectives, the front's recipe with `K` layers removed | the end of a search |
//! | `front/trial-N.yaml` | the same in a space that removes none: the recipe of trial `N` | the end of a search |
//! | `test.json` | all scores on the test split | the end of a search, or the report |
//! | `healed.json` | the models that were trained from its recipes, and how | `tailor heal` |
//! | `report.html`, `layer_map.svg` | the page; its picture by itself | the report |

mod bridges;
mod files;
mod folder;
mod optuna;
mod test_scores;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use layer_ir::Recipe;
use serde::{Deserialize, Serialize};
use zo_search::History;

pub(crate) use files::write_atomically;
pub use files::{check_writable, is_free, weight_files, write_whole};
pub use folder::StudyFolder;
pub use test_scores::{FrontScores, TestScores, TrainedScores};
pub use time::TimeSpent;

use crate::Error;
use crate::baselines::{Baseline, BaselineSettings};
use crate::bridges::Sink;
use crate::scores::{Reference, Scores};
use crate::study::Identity;

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
    /// The attention sinks of the models that have some, which baselines and starting designs keep.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, Vec<Sink>>,
    /// What retention is measured against.
    pub reference: Reference,
}

impl Parents {
    /// The layers that make an attention sink in some model of the family.
    #[must_use]
    pub fn sink_makers(&self) -> BTreeSet<usize> {
        self.sinks.values().flatten().map(|sink| sink.layer).collect()
    }

    /// Whether these are the scores of this study, with these baselines.
    pub(crate) fn are_of(&self, identity: &Identity, settings: &BaselineSettings) -> bool {
        let settings = BaselineSettings { test: self.settings.test, ..settings.clone() };
        self.identity == identity.hash && self.settings == settings
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
    /// Its scores on the search documents, with the bridges of the study.
    pub scores: Scores,
    /// Its scores without bridges; absent where the study has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_bridges: Option<Scores>,
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
    /// What the chosen candidate retains of the best parents, by the documents that it is scored on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retained>,
    /// The parents on the documents kept for the confirmation; absent when the study keeps none, or a task has nothing
    /// to retain on so few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Reference>,
    /// Where the time of the last run of this search went.
    pub time: TimeSpent,
    /// Of a study with several objectives: the trials that no other one beats on the search documents, the fewest
    /// removed layers first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontMember>,
}

/// What a recipe retains of the best parents on the three sets of documents, each with the parents' scores on the same
/// documents. What it retains more on the search documents than on others, the search has found by chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retained {
    /// On the documents that the search sees.
    pub search: f64,
    /// The standard error of that, the parents' scores taken as given; absent in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_error: Option<f64>,
    /// On those kept for the confirmation; absent when the study keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<f64>,
    /// The standard error of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_error: Option<f64>,
    /// On the test split; absent until it was scored there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
}

impl Retained {
    /// What a candidate retains on the documents of the search, `seen`, and on the `unseen` ones.
    pub(crate) fn of(candidate: &Candidate, seen: &Reference, unseen: Option<&Reference>) -> Self {
        // A score of one document has no error.
        let error = |error: f64| Some(error).filter(|error| error.is_finite());
        Self {
            search: seen.retention(&candidate.search),
            search_error: error(seen.retention_error(&candidate.search)),
            confirm: unseen.map(|reference| reference.retention(&candidate.confirm)),
            confirm_error: unseen.and_then(|reference| error(reference.retention_error(&candidate.confirm))),
            test: None,
        }
    }
}

impl SearchResult {
    /// Every recipe in it.
    pub(crate) fn recipes_mut(&mut self) -> impl Iterator<Item = &mut Recipe> {
        let candidates = std::iter::once(&mut self.best).chain(&mut self.confirmation);
        candidates.map(|candidate| &mut candidate.recipe)
    }
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
    /// What a sequential refit brought; absent where none was tried, or there was nothing to refit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequential: Option<SequentialRefit>,
}

impl Candidate {
    /// Its scores.
    #[must_use]
    pub fn scores(&self) -> CandidateScores {
        CandidateScores { search: self.search.clone(), confirm: self.confirm.clone() }
    }
}

/// The scores of one form of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateScores {
    /// On the search documents.
    pub search: Scores,
    /// On the documents kept for the confirmation; empty when the study keeps none.
    pub confirm: Scores,
}

impl CandidateScores {
    /// Those on documents that the search has not seen; where there are none, those on the search documents.
    #[must_use]
    pub fn unseen(&self) -> &Scores {
        if self.confirm.is_empty() { &self.search } else { &self.confirm }
    }
}

/// What refitting every layer of a candidate from its first gap on brought, one after the other on what the candidate
/// itself computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequentialRefit {
    /// Whether the candidate is refitted now: whether it gained by it on documents that the search has not seen.
    pub kept: bool,
    /// Without the refit.
    pub before: CandidateScores,
    /// With it.
    pub after: CandidateScores,
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
