//! The study file: what is to be tailored, on which tasks, in which space, with how many trials (TOML).

use std::path::{Path, PathBuf};

use layer_ir::{Dtype, Hub, ModelFinder, Vocabulary};
use serde::{Deserialize, Serialize};

use indexmap::IndexMap;

use super::evaluation::EvaluationSettings;
use super::search_settings::SearchSettings;
use super::task_settings::TaskSettings;
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
    /// What the trials are kept in, by default `journal`: a row of [`zo_search::storage::storage_kinds`], a store of the
    /// program's own, or the URL of a database (without a password, which is read from `PGPASSWORD` or `~/.pgpass`).
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
    /// The folder of the statistics, for studies of the same models and calibration text to share; absent: the study's
    /// own, in `bridges/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<PathBuf>,
    /// Whether a sequential refit of the candidates changes the projections behind the attention too; by default not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub o_proj: bool,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self { tokens: 8000, split: None, memory_mib: 4096, statistics: None, o_proj: false }
    }
}

/// Where and how the models run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    /// `cpu`, `cuda[:i]` or `wgpu[:i]`; of several, apart by commas or in a list, see [`Self::share`].
    #[serde(alias = "devices", deserialize_with = "device_list")]
    pub device: String,
    /// What several devices share out: the documents of a trial, as they do at first, or the trials.
    #[serde(skip_serializing_if = "Share::is_default")]
    pub share: Share,
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
        Self { device: "cpu".into(), share: Share::Documents, dtype: Dtype::F32, memory_mib: 2048, batch_tokens: 4096 }
    }
}

/// What several devices share out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// The documents of a trial.
    #[default]
    Documents,
    /// The trials: each is evaluated on one device.
    Trials,
}

impl Share {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_default(&self) -> bool {
        *self == Self::Documents
    }
}

impl RuntimeSettings {
    /// The devices one by one.
    #[must_use]
    pub fn devices(&self) -> Vec<String> {
        self.device.split(',').map(|device| device.trim().to_owned()).collect()
    }
}

/// One device, or several as a text or a list.
fn device_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a device or a list of devices")]
    enum Devices {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Devices::deserialize(deserializer)? {
        Devices::Text(text) => text,
        Devices::List(list) => list.join(","),
    })
}

/// What a key that the file does not give stands for, where that is not the type's default.
pub(crate) mod defaults {
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
        Self::as_written(path)?.located(hub)
    }

    /// A study [as written](Self::as_written) with its paths made absolute and its models found.
    ///
    /// # Errors
    /// As of [`StudyFile::read`].
    pub fn located(self, hub: impl FnOnce(&Self) -> Hub) -> Result<Self, Error> {
        let mut study = self;
        let folder = match study.file.parent() {
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
        let statistics = study.bridge.statistics.as_mut();
        let others = study.out.as_mut().into_iter().chain(study.warm_start.as_mut()).chain(statistics);
        for other in study.include.iter_mut().chain(others) {
            *other = folder.join(&*other);
        }
        Ok(study)
    }

    /// What a file says, its paths as they are written: for whoever wants to know what is searched, and not the models,
    /// which may be elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StudyFile`].
    pub fn as_written(path: &Path) -> Result<Self, Error> {
        Self::from_text(&std::fs::read_to_string(path).map_err(Error::io(path))?, path)
    }

    /// As [`StudyFile::as_written`], of a text that is, or could be, in the file `path`.
    ///
    /// # Errors
    /// [`Error::StudyFile`].
    pub fn from_text(text: &str, path: &Path) -> Result<Self, Error> {
        let study: Self = toml::from_str(text)
            .map_err(|source| Error::StudyFile { path: path.to_path_buf(), source: Box::new(source) })?;
        Ok(Self { file: path.to_path_buf(), ..study })
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
