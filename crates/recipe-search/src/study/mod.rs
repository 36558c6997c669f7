//! What is to be tailored: the study file as it is read, and the checked study that a search takes.

mod check;
mod evaluation;
mod file;
mod identity;
pub(crate) mod rows;
mod search_settings;
mod store;
mod task_settings;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use layer_ir::Family;

use crate::{Error, RecipeSpace, Tables};

use rows::Rows;

pub use evaluation::{ApplyChatTemplate, Bos, EvaluationSettings};
pub use file::*;
pub(crate) use identity::fingerprint;
pub use identity::{Difference, Identity};
pub use search_settings::SearchSettings;
pub(crate) use store::StoreRow;
pub use task_settings::TaskSettings;

/// A checked study: each of its values makes sense. A search takes nothing else.
///
/// It reads like the [`StudyFile`] that it was, and cannot be changed; [`Study::into_file`] gives that back.
///
/// ```
/// use recipe_search::{Study, StudyFile};
/// let mut file: StudyFile = toml::from_str(r#"
///     models = { base = "models/base", variants = { math = "models/math" } }
///     space = { remove = 3 }
///     tasks = [{ name = "gsm8k_choice" }]
/// "#)?;
/// let study: Study = file.clone().check()?;
/// assert_eq!(study.search.trials, 200);
///
/// file.search.rungs = vec![];
/// let refusal = file.check().unwrap_err().to_string();
/// assert!(refusal.contains("`search.rungs` is []; it must be rising fractions"), "{refusal}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Study {
    /// With the defaults of space and scheduler written out.
    checked: StudyFile,
    /// Where the names were looked up.
    tables: Arc<Tables>,
    /// What was found there.
    rows: Rows,
}

impl Study {
    /// Reads and checks a study file.
    ///
    /// # Errors
    /// As [`StudyFile::read`] and [`StudyFile::check`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        StudyFile::read(path)?.check()
    }

    /// The tables in which its names were found.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// What its names stand for.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Whether its scheduler decides on how many documents a trial is scored.
    pub(crate) fn is_scheduled(&self) -> bool {
        self.search.rungs.len() > 1 && !self.rows.strategy.0.has_own_fidelities()
    }

    /// The space that it searches, over these models.
    pub(crate) fn space_over(&self, family: &Family) -> Result<Box<dyn RecipeSpace>, Error> {
        let (kind, settings) = &self.rows.space;
        kind.open(family, settings).map_err(|error| error.in_file(&self.file))
    }

    /// The study as a file again, to be changed.
    #[must_use]
    pub fn into_file(self) -> StudyFile {
        self.checked
    }

    /// Opens the models and checks that they fit together.
    ///
    /// # Errors
    /// What [`Family::open`] says.
    pub fn open_family(&self) -> Result<Family, Error> {
        let paths = self.model_paths();
        let family = match self.models.vocabulary.clone() {
            None => Family::open(&paths, StudyFile::BASE)?,
            Some(vocabulary) => Family::open_to_align(&paths, StudyFile::BASE)?.with_vocabulary(vocabulary),
        };
        Ok(family)
    }
}

impl Deref for Study {
    type Target = StudyFile;

    fn deref(&self) -> &StudyFile {
        &self.checked
    }
}
