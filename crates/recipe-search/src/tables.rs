//! The tables of what a study can name: ours, and what a program adds.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use layer_ir::Family;
use tailor_registry::{Choice, Registry, Settings};
use task_eval::Components;
use zo_search::storage::{StorageKind, storage_kinds};
use zo_search::{SchedulerKind, StrategyKind, schedulers, strategies};

use crate::Error;
use crate::baselines::{BaselineMethod, BaselineSettings, standard_baselines};
use crate::objectives::{FurtherObjective, Objective, standard_further_objectives, standard_objectives};
use crate::space::{RecipeSpace, SpaceKind, SpaceSettings, standard_spaces};

/// What the names in a study stand for. A row that is added is named in a study file like ours.
///
/// ```
/// let tables = recipe_search::Tables::standard();
/// assert!(tables.objectives.names().any(|name| name == "retention"));
/// ```
#[derive(Debug)]
pub struct Tables {
    /// What merges of recipes name.
    pub merge_methods: merge_ops::Registry,
    /// `search.strategy`.
    pub strategies: Registry<dyn StrategyKind>,
    /// `search.scheduler`.
    pub schedulers: Registry<dyn SchedulerKind>,
    /// `store`.
    pub stores: Registry<dyn StorageKind>,
    /// What task files name: metrics, aggregations and filters.
    pub task_components: Arc<Components>,
    /// `search.objective`.
    pub objectives: Registry<dyn Objective>,
    /// `search.objectives`.
    pub further_objectives: Registry<dyn FurtherObjective>,
    /// `space.kind`.
    pub spaces: Registry<dyn SpaceKind>,
    /// `baselines.methods`.
    pub baselines: Registry<dyn BaselineMethod>,
}

impl Default for Tables {
    fn default() -> Self {
        Self::standard()
    }
}

impl Tables {
    /// The rows of this crate.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            merge_methods: merge_ops::Registry::standard(),
            strategies: strategies(),
            schedulers: schedulers(),
            stores: storage_kinds(),
            task_components: Arc::default(),
            objectives: standard_objectives(),
            further_objectives: standard_further_objectives(),
            spaces: standard_spaces(),
            baselines: standard_baselines(),
        }
    }

    /// The strategy that a study names; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has the name, or the parameters do not fit.
    pub fn strategy(&self, choice: &Choice, file: &Path) -> Result<(&dyn StrategyKind, Settings), Error> {
        self.strategies.choose(choice).map_err(Error::choice(file, "search.strategy"))
    }

    /// The scheduler that a study names; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has the name, or the parameters do not fit.
    pub fn scheduler(&self, choice: &Choice, file: &Path) -> Result<(&dyn SchedulerKind, Settings), Error> {
        self.schedulers.choose(choice).map_err(Error::choice(file, "search.scheduler"))
    }

    /// The store that a study names; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has the name, or it is not kept in a study's folder.
    pub fn store(&self, name: &str, file: &Path) -> Result<(&dyn StorageKind, &'static str), Error> {
        let kind = self.stores.get(name).map_err(Error::choice(file, "store"))?;
        let in_folder = kind.file_name().ok_or_else(|| Error::StudyValue {
            path: file.to_path_buf(),
            key: "store",
            found: format!("\"{name}\""),
            expected: "a store that is a file in the study's folder".to_owned(),
        });
        Ok((kind, in_folder?))
    }

    /// The objective that a study names; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has the name, or the parameters do not fit.
    pub fn objective(&self, choice: &Choice, file: &Path) -> Result<ChosenObjective<'_>, Error> {
        let key = "search.objective";
        let (row, settings) = self.objectives.choose(choice).map_err(Error::choice(file, key))?;
        let configured = row.configured(&settings).map_err(Error::choice(file, key))?;
        Ok(configured.map_or(ChosenObjective::Row(row), ChosenObjective::Configured))
    }

    /// The space that a study names, over some models; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has the name, or the parameters do not fit; what the space says of the
    /// models.
    pub fn space(&self, space: &SpaceSettings, family: &Family, file: &Path) -> Result<Box<dyn RecipeSpace>, Error> {
        let (kind, settings) = self.spaces.choose(&space.choice()).map_err(Error::choice(file, "space"))?;
        kind.open(family, &settings).map_err(|error| error.in_file(file))
    }

    /// The baselines that a study wants, in its order, or all; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has a name.
    pub fn baselines(&self, settings: &BaselineSettings, file: &Path) -> Result<Vec<&dyn BaselineMethod>, Error> {
        let Some(names) = &settings.methods else { return Ok(self.baselines.iter().collect()) };
        let named = names.iter().map(|name| self.baselines.get(name));
        named.collect::<Result<_, _>>().map_err(Error::choice(file, "baselines.methods"))
    }

    /// The further objectives that a study names, with their parameters; `file` is named in the error.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has a name, or the parameters do not fit.
    pub fn further_objectives(
        &self,
        choices: &[Choice],
        file: &Path,
    ) -> Result<Vec<(&dyn FurtherObjective, Settings)>, Error> {
        let chosen = choices.iter().map(|choice| self.further_objectives.choose(choice));
        chosen.collect::<Result<_, _>>().map_err(Error::choice(file, "search.objectives"))
    }
}

/// An objective of a table, as it is or with parameters of the study.
pub enum ChosenObjective<'a> {
    /// The row itself.
    Row(&'a dyn Objective),
    /// The row with parameters.
    Configured(Box<dyn Objective>),
}

impl<'a> Deref for ChosenObjective<'a> {
    type Target = dyn Objective + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Row(row) => *row,
            Self::Configured(configured) => &**configured,
        }
    }
}
