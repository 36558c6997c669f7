//! Where a model lies: a path, or an id of the hub.
//!
//! The hub's cache and downloads into it are [`tailor_hub`]'s. Here a whole family is downloaded in two steps: configs
//! and the headers of the weights first, so that models that do not fit together are known before the first shard
//! comes.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tailor_hub::{FoundModel, Hub, Repo};

use crate::{Checkpoint, Error, Family};

/// The folder of `model`: a path, relative to `folder`; else `org/name` or `org/name@revision` in the local Hugging
/// Face hub cache (`$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`). Nothing is downloaded.
///
/// # Errors
/// [`Error::ModelNotFound`] says where it was looked for; [`Error::Hub`] where a part of it is there.
/// ```
/// # let folder = std::env::temp_dir().join("tailor-resolve-model");
/// # std::fs::create_dir_all(folder.join("math")).unwrap();
/// assert_eq!(layer_ir::resolve_model("math", &folder)?, folder.join("math"));
/// let error = layer_ir::resolve_model("org/no-such-model", &folder).unwrap_err();
/// assert!(error.to_string().contains("have it downloaded"), "{error}");
/// # Ok::<(), layer_ir::Error>(())
/// ```
pub fn resolve_model(model: &str, folder: &Path) -> Result<PathBuf, Error> {
    resolve_model_with(model, folder, &Hub::default())
}

/// As [`resolve_model`]; what is not here is downloaded, if `hub` says so.
///
/// # Errors
/// As of [`resolve_model`]; [`Error::Hub`] where a download fails.
pub fn resolve_model_with(model: &str, folder: &Path, hub: &Hub) -> Result<PathBuf, Error> {
    let mut finder = ModelFinder::new(hub);
    let path = finder.find(model, folder)?;
    finder.complete(&[("model", &path)].into(), "model", false)?;
    Ok(path)
}

/// Turns what files call models into folders, and downloads what is not here, if the hub's settings say so.
///
/// [`ModelFinder::find`] gives folders with everything but weights; with [`ModelFinder::complete`] they are whole.
#[derive(Debug)]
pub struct ModelFinder<'a> {
    hub: &'a Hub,
    /// Models whose weights are not here, by what they are called, and their folders.
    pending: Vec<(String, FoundModel)>,
}

impl<'a> ModelFinder<'a> {
    /// Looks in this cache, and downloads where the hub's settings say so.
    #[must_use]
    pub fn new(hub: &'a Hub) -> Self {
        Self { hub, pending: Vec::new() }
    }

    /// The folder of a model: a path, relative to `folder`, else a model of the hub, with its settings, its tokenizer,
    /// and at least the names and shapes of its weights.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], and [`Error::Hub`] where a download fails or is needed and not asked for.
    pub fn find(&mut self, model: &str, folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join(model);
        if path.exists() {
            return Ok(path);
        }
        let Ok(repo) = Repo::model(model) else {
            return Err(Error::ModelNotFound { model: model.to_owned(), path, cache: self.hub.cache.clone() });
        };
        let found = self.hub.model(&repo).map_err(|source| match source {
            tailor_hub::Error::NotHere { cache, .. } => Error::ModelNotFound { model: model.to_owned(), path, cache },
            source => Error::Hub { model: model.to_owned(), path, source: Box::new(source) },
        })?;
        let folder = found.folder.clone();
        if !found.is_whole() {
            self.pending.push((model.to_owned(), found));
        }
        Ok(folder)
    }

    /// Downloads the weights that are not here; before them, all models are checked as by [`Family::open`], or, if
    /// their vocabularies are to be aligned, as by [`Family::open_to_align`]. Of pickles that is known which their
    /// index and a config of a known architecture say.
    ///
    /// # Errors
    /// Those of [`Family::open`]; [`Error::Hub`].
    pub fn complete<P: AsRef<Path>>(self, models: &IndexMap<&str, P>, base: &str, aligned: bool) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let models = models.iter().map(|(name, path)| ((*name).to_owned(), path.as_ref()));
        // Of pickles of an architecture that is not known, nothing can be said yet.
        let can_be_known = |path: &Path| {
            let pending = self.pending.iter().find(|(_, found)| found.folder == path && !found.has_outline());
            pending.is_none() || !matches!(Checkpoint::open_outline(path), Err(Error::NoWeights { .. }))
        };
        let known: IndexMap<String, &Path> = models.filter(|(_, path)| can_be_known(path)).collect();
        if known.contains_key(base) {
            Family::open_outline(&known, base, aligned)?;
        }
        for (model, found) in &self.pending {
            self.hub.complete(found).map_err(|source| Error::Hub {
                model: model.clone(),
                path: found.folder.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_before_a_model_of_the_cache() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (here, cache) = (folder.path().join("here"), folder.path().join("cache"));
        let hub = Hub { cache: cache.clone(), ..Hub::default() };
        let find = |model| resolve_model_with(model, &here, &hub);
        let repository = cache.join("models--org--name");
        let snapshot = repository.join("snapshots/abc");
        std::fs::create_dir_all(repository.join("refs"))?;
        std::fs::create_dir_all(&snapshot)?;
        std::fs::write(repository.join("refs/main"), "abc\n")?;
        std::fs::write(snapshot.join("config.json"), "{}")?;
        let message = |model| find(model).err().map_or_else(String::new, |error| error.to_string());
        assert!(message("org/name").contains("lacks `model.safetensors`"), "{}", message("org/name"));
        std::fs::write(snapshot.join("model.safetensors"), "")?;
        assert_eq!(find("org/name")?, snapshot);
        assert_eq!(find("org/name@abc")?, snapshot);
        std::fs::create_dir_all(here.join("org/name"))?;
        assert_eq!(find("org/name")?, here.join("org/name"));
        for model in ["org/other", "other", "../other"] {
            let message = message(model);
            assert!(message.contains(&format!("`{model}`")) && message.contains("hub cache"), "{message}");
        }
        Ok(())
    }
}
