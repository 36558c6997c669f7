//! The study file: what is to be tailored, on which tasks, in which space, with how many trials (TOML).

use std::path::{Path, PathBuf};
use std::time::Duration;

use layer_ir::{Dtype, Hub, ModelFinder, Vocabulary};
use serde::{Deserialize, Serialize};
use zo_search::Stop;

use indexmap::IndexMap;

use tailor_registry::Choice;

use super::evaluation::EvaluationSettings;
use crate::{BaselineSettings, Error, SpaceSettings};

/// A study as its file says it, unchecked; every key is explained in `docs/study.md`. [`StudyFile::check`] makes a
/// [`Study`] of it, which is what a search takes.
///
/// [`Study`]: crate::Study
///
/// ```
/// let study: recipe_search::StudyFile = toml::from_str(r#"
///     [models]
///     base = "models/base"
///     variants = { math = "models/math", code = "models/code" }
///     [space]
///     remove = 3
///     [[tasks]]
///     name = "gsm8k_choice"
/// "#)?;
/// assert_eq!(study.search.trials, 200);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// The file that it was read from; messages name it.
    #[serde(skip)]
    pub file: PathBuf,
    /// The study's name, shown in its report; `study` if the file gives none.
    #[serde(default = "defaults::name")]
    pub name: String,
    /// The seed of everything random, below 2^63 as TOML holds no larger integer. The same study with the same seed
    /// comes to the same trials on the same machine.
    #[serde(default)]
    pub seed: u64,
    /// The folder of the study's results; relative to the study file. `--out` wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// What the trials are kept in, by default `journal`: a row of [`zo_search::storage::storage_kinds`], or a store of
    /// the program's own.
    #[serde(default = "defaults::store")]
    pub store: String,
    /// The folder of another study, or a `runhistory.json` of SMAC, whose trials are known to this one; relative to the
    /// study file. `--warm-start` wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<PathBuf>,
    /// Folders with task files.
    #[serde(default)]
    pub include: Vec<PathBuf>,
    /// Whether models and data sets of the hub that are nowhere here are downloaded into its local cache;
    /// `HF_ENDPOINT` and `HF_TOKEN` count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub download: bool,
    /// Whether tasks may run the programs that a model writes (MBPP, HumanEval), in a sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_code_execution: bool,
    /// The container command that such programs run in; bubblewrap, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_sandbox: Option<String>,
    /// The family.
    pub models: Models,
    /// What may vary.
    pub space: SpaceSettings,
    /// What the bridges over removed layers are fitted on.
    #[serde(default)]
    pub bridge: BridgeSettings,
    /// What the models are judged by.
    pub tasks: Vec<TaskSettings>,
    /// How the tasks' documents become prompts.
    #[serde(default)]
    pub evaluation: EvaluationSettings,
    /// How the space is searched.
    #[serde(default)]
    pub search: SearchSettings,
    /// What the result is compared with.
    #[serde(default)]
    pub baselines: BaselineSettings,
    /// Where the models run.
    #[serde(default)]
    pub runtime: RuntimeSettings,
}

/// The base and its fine-tunes, by name: a folder (relative to the study file) or a hub id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// The base model. Recipes call it [`StudyFile::BASE`].
    pub base: String,
    /// The fine-tunes, the candidates of every layer, in this order; none to search over the base alone. None may be
    /// called `base` or `mean`.
    #[serde(default)]
    pub variants: IndexMap<String, String>,
    /// How models with different tokens share one vocabulary; absent: they have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
}

impl Models {
    /// Reads a file of models alone: a study's `[models]`, with or without the line that says so. The other keys of a
    /// whole study are passed over. Paths stay as they are written.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StudyFile`] for TOML that has no such table; [`Error::StudyValue`] for variants that
    /// cannot be.
    pub fn read(path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct WithTable {
            models: Models,
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let toml = |source| Error::StudyFile { path: path.to_path_buf(), source: Box::new(source) };
        let whole: toml::Table = toml::from_str(&text).map_err(toml)?;
        let models = if whole.contains_key("models") {
            toml::from_str::<WithTable>(&text).map_err(toml)?.models
        } else {
            toml::from_str(&text).map_err(toml)?
        };
        // A study may do without; a file of models is there to say what they are.
        if models.variants.is_empty() {
            return Err(Error::value(path, "models.variants", "empty", "at least one fine-tune"));
        }
        models.check_variants(path)?;
        Ok(models)
    }

    /// Whether no variant has a name that is taken.
    pub(super) fn check_variants(&self, path: &Path) -> Result<(), Error> {
        if let Some(name) = self.variants.keys().find(|name| matches!(name.as_str(), StudyFile::BASE | "mean")) {
            let expected = "another name: `base` is the base model, `mean` the mean of the variants";
            return Err(Error::value(path, "models.variants", format!("a variant named `{name}`"), expected));
        }
        Ok(())
    }
}

/// A task and how it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The name of a task or of a group in its YAML file.
    pub name: String,
    /// The metric that counts, `acc` if the file names none: more must be better in it. `exact_match` takes the first
    /// filter that reports it, `exact_match,strict-match` that one.
    #[serde(default = "defaults::metric")]
    pub metric: String,
    /// Its weight in the objective, above 0; 1 if the file gives none. A group's is spread evenly over its tasks.
    #[serde(default = "defaults::one")]
    pub weight: f64,
    /// The split that the search sees; `validation` if the file names none.
    #[serde(default = "defaults::validation")]
    pub validation: String,
    /// The split that only the report sees; `test` if the file names none.
    #[serde(default = "defaults::test")]
    pub test: String,
    /// Only these validation documents, of each task in a group, by their places in the split, counted from 0, in place
    /// of `limit`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<usize>>,
    /// Few-shot examples; absent: what the task file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<usize>,
    /// At most this many validation documents; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// At most this many test documents; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
}

impl TaskSettings {
    /// Whether models are judged on a split of the task's data.
    pub(crate) fn judges_on(&self, split: &str) -> bool {
        self.validation == split || self.test == split
    }
}

/// How the space is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Which points are looked at, by default `tailor`: a row of [`zo_search::strategies`], or a strategy of the
    /// program's own.
    pub strategy: Choice,
    /// How many trials, those of the starting designs and of lower fidelity counted in; by default 200.
    pub trials: usize,
    /// The search also ends after so many trials that brought nothing better; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// The search also ends when the last so many trials on all search documents have made the best one better by no
    /// more than the standard error of the difference; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience_within_error: Option<usize>,
    /// The search also ends so many hours after its first trial was asked; absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<f64>,
    /// What is to be made small, by default `retention`: a row of [`crate::standard_objectives`], or an objective of
    /// the program's own.
    pub objective: Choice,
    /// What is to be made small beside it, by default nothing: rows of [`crate::standard_further_objectives`]: with
    /// any, the result has a Pareto front.
    pub objectives: Vec<Choice>,
    /// Which trials are scored on more documents, by default `racing`: a row of [`zo_search::schedulers`], or a
    /// scheduler of the program's own.
    pub scheduler: Choice,
    /// Rising fractions of the search documents, above 0, on which a trial is scored one after the other, of which the
    /// last is 1; or rising numbers of documents of each task, also of each in a group, of which the last is above 1. By
    /// default a quarter and all.
    pub rungs: Vec<f64>,
    /// The scheduler's parameter `chance`, if it has one and does not have it from [`Self::scheduler`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The scheduler's parameter `eta`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<usize>,
    /// Share of the validation documents, from 0 to 0.9, that the search never sees: they are kept for the
    /// confirmation, which 0 leaves out. By default 0.3.
    pub confirm_share: f64,
    /// How many of the best candidates are scored on them, the best baseline not counted; by default 8.
    pub confirm_candidates: usize,
    /// Whether the candidates are also refitted layer by layer on what they themselves compute, which stays where it
    /// helps on the documents kept for the confirmation; absent: where the space has bridges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential: Option<bool>,
    /// How many of the starting designs come before the strategy's own points; absent: a twelfth of the trials for
    /// `tailor`, a third for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub designs: Option<usize>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            strategy: Choice::new("tailor"),
            trials: 200,
            patience: None,
            patience_within_error: None,
            hours: None,
            objective: Choice::new("retention"),
            objectives: Vec::new(),
            scheduler: Choice::new("racing"),
            rungs: vec![0.25, 1.0],
            chance: None,
            eta: None,
            confirm_share: 0.3,
            confirm_candidates: 8,
            sequential: None,
            designs: None,
        }
    }
}

impl SearchSettings {
    /// The number of starting designs, also where the file leaves it to the strategy.
    #[must_use]
    pub fn designs(&self) -> usize {
        // The model needs few to begin with; a population stands on them.
        self.designs.unwrap_or(if self.strategy.name == "tailor" { self.trials / 12 } else { self.trials / 3 })
    }

    /// The rungs as fractions of the last one.
    #[must_use]
    pub fn rung_fractions(&self) -> Vec<f64> {
        let last = self.rungs.last().copied().unwrap_or(1.0);
        self.rungs.iter().map(|rung| rung / last).collect()
    }

    /// When the search ends: whichever of its limits comes first.
    #[must_use]
    pub fn stop(&self) -> Stop {
        let stop = Stop::new().trials(self.trials);
        let stop = self.patience.map_or(stop, |trials| stop.patience(trials));
        let stop = self.patience_within_error.map_or(stop, |trials| stop.patience_within_error(trials));
        let time = self.hours.and_then(|hours| Duration::try_from_secs_f64(3600.0 * hours).ok());
        time.map_or(stop, |time| stop.time(time))
    }
}

/// What the bridges over removed layers are fitted on, and in how much memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSettings {
    /// About so many calibration tokens, in equal shares of the tasks, at least 1; by default 8000.
    pub tokens: usize,
    /// The split of the tasks' data that they are documents of, with their right answers; `search`: the documents that
    /// the search sees. Absent: the split that a task's file names for training, and what that lacks, `search`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Memory for the statistics, in MiB, at least 1; by default 4096.
    pub memory_mib: u64,
    /// Whether a sequential refit of the candidates changes the projections behind the attention too; by default not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub o_proj: bool,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self { tokens: 8000, split: None, memory_mib: 4096, o_proj: false }
    }
}

/// Where and how the models run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    /// `cpu`, `cuda[:i]` or `wgpu[:i]`; several, apart by commas, share the documents out.
    pub device: String,
    /// `f32`, the default, `bf16` or `f16`: the type of weights and products. Sums are taken in f32 in any case; on the
    /// CPU weights in f16 are rounded, and multiplied in f32.
    pub dtype: Dtype,
    /// Memory for built layers and for states that recipes have in common, in MiB, at least 1; by default 2048.
    pub memory_mib: usize,
    /// Tokens of a batch, at least 1; by default 4096.
    pub batch_tokens: usize,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self { device: "cpu".into(), dtype: Dtype::F32, memory_mib: 2048, batch_tokens: 4096 }
    }
}

/// What a key that the file does not give stands for, where that is not the type's default.
mod defaults {
    pub fn name() -> String {
        "study".into()
    }
    pub fn store() -> String {
        "journal".into()
    }
    pub fn metric() -> String {
        "acc".into()
    }
    pub fn one() -> f64 {
        1.0
    }
    pub fn validation() -> String {
        "validation".into()
    }
    pub fn test() -> String {
        "test".into()
    }
}

impl StudyFile {
    /// Reads a study and makes its paths absolute, so that it means the same from any folder.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StudyFile`] for TOML that is not a study; what layer-ir says of a model that is not
    /// there, cannot be downloaded, or does not fit the base.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_with(path, |study| Hub::from_environment(study.download))
    }

    /// As [`StudyFile::read`]; its models are found, and downloaded or not, as `hub` says of the study.
    ///
    /// # Errors
    /// As of [`StudyFile::read`].
    pub fn read_with(path: &Path, hub: impl FnOnce(&Self) -> Hub) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let mut study: Self = toml::from_str(&text)
            .map_err(|source| Error::StudyFile { path: path.to_path_buf(), source: Box::new(source) })?;
        study.file = path.to_path_buf();
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(Error::io(folder))?;
        let hub = hub(&study);
        let mut finder = ModelFinder::new(&hub);
        for model in std::iter::once(&mut study.models.base).chain(study.models.variants.values_mut()) {
            *model = finder.find(model, &folder)?.display().to_string();
        }
        let paths = study.model_paths();
        let paths = paths.iter().map(|(name, path)| (name.as_str(), path)).collect();
        finder.complete(&paths, Self::BASE, study.models.vocabulary.is_some())?;
        let others = study.out.as_mut().into_iter().chain(study.warm_start.as_mut());
        for other in study.include.iter_mut().chain(others) {
            *other = folder.join(&*other);
        }
        Ok(study)
    }

    /// The name under which the base stands in recipes and in the report.
    pub const BASE: &'static str = "base";

    /// Every model by name, the base first.
    #[must_use]
    pub fn model_paths(&self) -> IndexMap<String, PathBuf> {
        let base = (Self::BASE.to_string(), PathBuf::from(&self.models.base));
        let variants = self.models.variants.iter().map(|(name, path)| (name.clone(), PathBuf::from(path)));
        std::iter::once(base).chain(variants).collect()
    }

    /// The study as the text of a study file.
    ///
    /// # Errors
    /// [`Error::StudyText`] for numbers that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string_pretty(self).map_err(|source| Error::StudyText(Box::new(source)))
    }
}
