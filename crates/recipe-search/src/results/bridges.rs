//! The files of bridges in a study's folder.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use layer_ir::{BridgeRef, Recipe};

use super::{SearchResult, StudyFolder};
use crate::Error;

/// What the folders of workers' bridges are called first.
const OF_WORKERS: &str = "of-";
/// The folder of bridges and their statistics.
const FOLDER: &str = "bridges";
/// What the names of bridges' files begin with; those that were not finished have a dot before it.
const PREFIX: &str = "bridge-";

impl StudyFolder {
    /// The folder of bridges and of the statistics that they are fitted from, as an absolute path.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no working directory.
    pub(crate) fn bridges(&self) -> Result<PathBuf, Error> {
        Ok(self.absolute()?.join(FOLDER))
    }

    /// The folder of the bridges that one worker of the study makes for its trials.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no working directory.
    pub(crate) fn bridges_of_worker(&self, worker: &str) -> Result<PathBuf, Error> {
        Ok(self.bridges()?.join(format!("{OF_WORKERS}{worker}")))
    }

    /// Removes those folders of all workers, as far as they can be removed: a worker that was killed has left its own.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no working directory.
    pub(crate) fn remove_bridges_of_workers(&self) -> Result<(), Error> {
        for entry in std::fs::read_dir(self.bridges()?).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(OF_WORKERS) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    /// This folder as an absolute path.
    fn absolute(&self) -> Result<PathBuf, Error> {
        std::path::absolute(self.path()).map_err(Error::io(self.path()))
    }

    /// Makes the files of a recipe's bridges paths as they can be opened. The recipe was read from this folder.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no working directory.
    pub(super) fn resolve(&self, recipe: &mut Recipe) -> Result<(), Error> {
        let folder = self.absolute()?;
        bridges_of(recipe).for_each(|bridge| bridge.file = folder.join(&bridge.file));
        Ok(())
    }

    /// Names the files of a recipe's bridges that lie in this folder as a recipe in a folder `below` it may name them:
    /// relative to that, so that the study can be moved.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no working directory.
    pub(crate) fn localise(&self, recipe: &mut Recipe, below: &Path) -> Result<(), Error> {
        let folder = self.absolute()?;
        for bridge in bridges_of(recipe) {
            if let Ok(name) = bridge.file.strip_prefix(&folder) {
                let up: PathBuf = below.components().map(|_| "..").collect();
                bridge.file = up.join(name);
            }
        }
        Ok(())
    }

    /// Removes the files of bridges that neither the result nor the front names: they come again from the statistics.
    ///
    /// # Errors
    /// [`Error::Io`]; what layer-ir says of a recipe of the front that cannot be read.
    pub(crate) fn remove_unused_bridges(&self, result: &SearchResult) -> Result<(), Error> {
        let folder = self.bridges()?;
        if !folder.is_dir() {
            return Ok(());
        }
        let mut recipes: Vec<Recipe> = result.confirmation.iter().map(|candidate| candidate.recipe.clone()).collect();
        recipes.push(result.best.recipe.clone());
        for member in &result.front {
            let file = self.file(&member.file);
            recipes.push(Recipe::from_yaml(&std::fs::read_to_string(&file).map_err(Error::io(&file))?)?);
        }
        let named = recipes.iter_mut().flat_map(bridges_of);
        let used: HashSet<OsString> = named.filter_map(|bridge| Some(bridge.file.file_name()?.to_owned())).collect();
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let name = entry.map_err(Error::io(&folder))?.file_name();
            let is_bridge = name.to_str().is_some_and(|name| name.trim_start_matches('.').starts_with(PREFIX));
            if is_bridge && !used.contains(&name) {
                std::fs::remove_file(folder.join(&name)).map_err(Error::io(&folder.join(&name)))?;
            }
        }
        Ok(())
    }
}

/// The bridges that a recipe names.
fn bridges_of(recipe: &mut Recipe) -> impl Iterator<Item = &mut BridgeRef> {
    recipe.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut())
}
