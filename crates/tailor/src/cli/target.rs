//! What a path on the command line is: a checkpoint, a recipe or a study.
//!
//! Folders are told apart by a `study.toml` in them, files by their extension.

use std::path::{Path, PathBuf};

use layer_ir::gptailor::Kind;
use layer_ir::{Family, Hub, Recipe, mergekit, resolve_model_with};
use merge_ops::Registry;
use recipe_search::baselines::whole_model;
use tailor::Error;

/// What a path is.
#[derive(Debug)]
pub(super) enum Target {
    /// A model folder.
    Checkpoint(PathBuf),
    /// A recipe, ours or mergekit's.
    Recipe(PathBuf),
    /// A study file.
    StudyFile(PathBuf),
    /// The folder of a started study.
    StudyFolder(PathBuf),
}

impl Target {
    /// Looks at the path; what is no path may be a model of the hub, which is downloaded if `hub` says so.
    ///
    /// # Errors
    /// [`Error::ImportFirst`] for a result of auto-merge-llm, [`Error::UnknownPath`] for a file of another kind; what
    /// layer-ir says of a model that is nowhere.
    pub fn of(path: &Path, hub: &Hub) -> Result<Self, Error> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            _ if path.is_dir() && path.join("study.toml").is_file() => Ok(Self::StudyFolder(path.into())),
            _ if path.is_dir() => Ok(Self::Checkpoint(path.into())),
            Some("yaml" | "yml") => Ok(Self::Recipe(path.into())),
            Some("toml") => Ok(Self::StudyFile(path.into())),
            Some("json") if path.is_file() && is_result(path)? => Err(Error::ImportFirst(path.into())),
            _ if path.exists() => Err(Error::UnknownPath(path.into())),
            _ => Ok(Self::Checkpoint(resolve_model_with(&path.display().to_string(), Path::new("."), hub)?)),
        }
    }
}

/// Whether a file has keys as results of auto-merge-llm have.
///
/// # Errors
/// [`Error::Io`].
fn is_result(path: &Path) -> Result<bool, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(Kind::is_in(&String::from_utf8_lossy(&bytes)))
}

/// A checkpoint or a recipe, opened as a recipe over its family; its models' paths are absolute. A checkpoint is the
/// recipe that takes all layers of its one model, which is called `model`.
///
/// # Errors
/// [`Error::NotAModel`] for a study; what layer-ir says of files that cannot be read or do not fit together.
pub(super) fn open_model(path: &Path, hub: &Hub) -> Result<(Family, Recipe), Error> {
    match Target::of(path, hub)? {
        Target::Checkpoint(folder) => {
            let models = [("model".to_string(), folder)].into_iter().collect();
            let family = Family::open(&models, "model")?;
            let recipe = whole_model(&family, "model");
            Ok((family, recipe))
        }
        Target::Recipe(file) => {
            let recipe = read_recipe(&file, hub)?;
            Ok((recipe.open_family()?, recipe))
        }
        Target::StudyFile(path) | Target::StudyFolder(path) => Err(Error::NotAModel(path)),
    }
}

/// Our recipe, which says `tailor: 1` at its top, or a mergekit file, translated. Its models are found, and downloaded
/// or not, as `hub` says.
///
/// # Errors
/// [`Error::Io`]; [`Error::ImportFirst`] for a result of auto-merge-llm; what layer-ir says of a text that is neither,
/// or of a mergekit file with something that no recipe can say.
pub(super) fn read_recipe(path: &Path, hub: &Hub) -> Result<Recipe, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let ours = text.lines().any(|line| line.trim_start_matches(['{', ' ', '"', '\'']).starts_with("tailor"));
    if !ours && Kind::is_in(&text) {
        return Err(Error::ImportFirst(path.into()));
    }
    let methods = Registry::standard();
    Ok(if ours { Recipe::read_with(path, hub)? } else { mergekit::read_with_hub(path, &methods, hub)? })
}
