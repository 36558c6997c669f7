//! Where a model lies: a path, or an id in the local hub cache.
//!
//! The cache's layout is that of `huggingface_hub`: `models--ORG--NAME/refs/REVISION` holds a commit,
//! `models--ORG--NAME/snapshots/COMMIT` the files.

use std::path::{Path, PathBuf};

use crate::Error;

/// The folder of `model`: a path, relative to `folder`; else `org/name` or `org/name@revision` in the local Hugging
/// Face hub cache (`$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`). Nothing is downloaded.
///
/// # Errors
/// [`Error::ModelNotFound`] says where it was looked for.
/// ```
/// # let folder = std::env::temp_dir().join("tailor-resolve-model");
/// # std::fs::create_dir_all(folder.join("math")).unwrap();
/// assert_eq!(layer_ir::resolve_model("math", &folder)?, folder.join("math"));
/// let error = layer_ir::resolve_model("org/no-such-model", &folder).unwrap_err();
/// assert!(error.to_string().contains("download it first"), "{error}");
/// # Ok::<(), layer_ir::Error>(())
/// ```
pub fn resolve_model(model: &str, folder: &Path) -> Result<PathBuf, Error> {
    find(model, folder, cache())
}

/// As [`resolve_model`], with the cache given.
fn find(model: &str, folder: &Path, cache: PathBuf) -> Result<PathBuf, Error> {
    let path = folder.join(model);
    if path.exists() {
        return Ok(path);
    }
    let (id, revision) = model.split_once('@').unwrap_or((model, "main"));
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let commit = std::fs::read_to_string(repository.join("refs").join(revision));
    let snapshot = repository.join("snapshots").join(commit.as_deref().unwrap_or(revision).trim());
    if id.split('/').count() == 2 && snapshot.is_dir() {
        return Ok(snapshot);
    }
    Err(Error::ModelNotFound { model: model.to_owned(), path, cache })
}

/// The folder of the hub cache, by the environment variables of `huggingface_hub`.
fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_before_a_model_of_the_cache() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (here, cache) = (folder.path().join("here"), folder.path().join("cache"));
        let repository = cache.join("models--org--name");
        std::fs::create_dir_all(repository.join("refs"))?;
        std::fs::create_dir_all(repository.join("snapshots/abc"))?;
        std::fs::write(repository.join("refs/main"), "abc\n")?;
        let snapshot = repository.join("snapshots/abc");
        assert_eq!(find("org/name", &here, cache.clone())?, snapshot);
        assert_eq!(find("org/name@abc", &here, cache.clone())?, snapshot);
        std::fs::create_dir_all(here.join("org/name"))?;
        assert_eq!(find("org/name", &here, cache.clone())?, here.join("org/name"));
        let message = find("org/other", &here, cache).err().map_or_else(String::new, |error| error.to_string());
        assert!(message.contains("`org/other`") && message.contains("hub cache"), "{message}");
        Ok(())
    }
}
