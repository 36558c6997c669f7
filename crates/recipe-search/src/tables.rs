//! The tables of what a study can name: ours, and what a program adds.

use std::sync::Arc;

use tailor_registry::Registry;
use task_eval::Components;
use zo_search::storage::{StorageKind, storage_kinds};
use zo_search::{SchedulerKind, StrategyKind, schedulers, strategies};

use crate::baselines::{BaselineMethod, standard_baselines};
use crate::objectives::{FurtherObjective, Objective, standard_further_objectives, standard_objectives};
use crate::space::{SpaceKind, standard_spaces};

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
}
