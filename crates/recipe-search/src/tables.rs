//! The tables of what a study can name: ours, and what a program adds.

use std::ops::Deref;
use std::path::Path;

use tailor_registry::{Choice, Registry, Settings};

use crate::Error;
use crate::objectives::{FurtherObjective, Objective, standard_further_objectives, standard_objectives};

/// What the names in a study stand for. A row that is added is named in a study file like ours.
///
/// ```
/// let tables = recipe_search::Tables::standard();
/// assert!(tables.objectives.names().any(|name| name == "retention"));
/// ```
#[derive(Debug)]
pub struct Tables {
    /// `search.objective`.
    pub objectives: Registry<dyn Objective>,
    /// `search.objectives`.
    pub further_objectives: Registry<dyn FurtherObjective>,
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
        Self { objectives: standard_objectives(), further_objectives: standard_further_objectives() }
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
