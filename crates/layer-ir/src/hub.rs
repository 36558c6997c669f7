//! Where is a model? A path, or an id in the local hub cache.

use std::path::{Path, PathBuf};

use crate::Error;

/// The folder of `model`: a path, relative to `folder`; else `org/name` or `org/name@revision` in the local Hugging Face hub cache
/// (`$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`). Nothing is downloaded.
///
/// # Errors
/// [`Error::ModelNotFound`] says where it was looked for.
pub fn resolve_model(model: &str, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(model);
    if path.exists() {
        return Ok(path);
    }
    let cache = cache();
    let (id, revision) = model.split_once('@').unwrap_or((model, "main"));
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let commit = std::fs::read_to_string(repository.join("refs").join(revision));
    let snapshot = repository.join("snapshots").join(commit.as_deref().unwrap_or(revision).trim());
    if id.split('/').count() == 2 && snapshot.is_dir() {
        return Ok(snapshot);
    }
    Err(Error::ModelNotFound { model: model.to_owned(), path, cache })
}

fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_default()
}
