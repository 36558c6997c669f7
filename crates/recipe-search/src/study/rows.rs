//! The rows of the tables that a study names, looked up once: when the study is checked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::store::StoreRow;
use tailor_registry::{Choice, Entry, Registry, Settings};
use zo_search::{SchedulerKind, StrategyKind};

use super::StudyFile;
use crate::baselines::BaselineMethod;
use crate::objectives::{FurtherObjective, Objective};
use crate::space::SpaceKind;
use crate::{BaselineSettings, Error, Tables};

/// A row and its checked parameters.
pub(crate) type Configured<T> = (Arc<T>, Settings);

/// What the names in a study stand for.
#[derive(Clone)]
pub(crate) struct Rows {
    /// `space.kind`.
    pub space: Configured<dyn SpaceKind>,
    /// `search.scheduler`.
    pub scheduler: Configured<dyn SchedulerKind>,
    /// `search.strategy`.
    pub strategy: Configured<dyn StrategyKind>,
    /// `store`.
    pub store: StoreRow,
    /// `search.objective`, with its parameters in it.
    pub objective: Arc<dyn Objective>,
    /// `search.objectives`, in the order of the study.
    pub further_objectives: Vec<Configured<dyn FurtherObjective>>,
    /// `baselines.methods`, in the order of the study; without that key all of the table.
    pub baselines: Vec<Arc<dyn BaselineMethod>>,
}

impl Rows {
    /// The rows that a study names, of which the space and the scheduler are known already.
    ///
    /// # Errors
    /// [`Error::StudyChoice`] when no row has a name, or parameters do not fit it; [`Error::StudyValue`] for a store
    /// that cannot be.
    pub fn of(
        study: &StudyFile,
        tables: &Tables,
        space: Configured<dyn SpaceKind>,
        scheduler: Configured<dyn SchedulerKind>,
    ) -> Result<Self, Error> {
        let (file, search) = (study.file.as_path(), &study.search);
        let further = search.objectives.iter().map(|choice| tables.further_objectives.choose_shared(choice));
        Ok(Self {
            space,
            scheduler,
            strategy: choose(&tables.strategies, &search.strategy, file, "search.strategy")?,
            store: StoreRow::of(&tables.stores, &study.store, file)?,
            objective: objective(&tables.objectives, &search.objective, file)?,
            further_objectives: further.collect::<Result<_, _>>().map_err(Error::choice(file, "search.objectives"))?,
            baselines: baselines(&tables.baselines, &study.baselines, file)?,
        })
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The study that stands beside them says all of their names.
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// The row that `choice` names, whose place in the study file is `key`.
pub(super) fn choose<T: Entry + ?Sized>(
    table: &Registry<T>,
    choice: &Choice,
    file: &Path,
    key: &'static str,
) -> Result<Configured<T>, Error> {
    table.choose_shared(choice).map_err(Error::choice(file, key))
}

/// The row that `choice` names; where it has parameters, a copy that is configured by them.
pub(crate) fn objective(
    table: &Registry<dyn Objective>,
    choice: &Choice,
    file: &Path,
) -> Result<Arc<dyn Objective>, Error> {
    let (row, settings) = choose(table, choice, file, "search.objective")?;
    let configured = row.configured(&settings).map_err(Error::choice(file, "search.objective"))?;
    Ok(configured.map_or(row, Arc::from))
}

/// The methods that are named, or all.
fn baselines(
    table: &Registry<dyn BaselineMethod>,
    settings: &BaselineSettings,
    file: &Path,
) -> Result<Vec<Arc<dyn BaselineMethod>>, Error> {
    let get = |name: &str| table.get_shared(name);
    let rows: Result<_, _> = match &settings.methods {
        Some(names) => names.iter().map(|name| get(name)).collect(),
        None => table.names().map(get).collect(),
    };
    rows.map_err(Error::choice(file, "baselines.methods"))
}
