//! The model that is trained.

use std::path::Path;

use layer_ir::{Checkpoint, Family, Recipe, ValidRecipe};
use layer_train::{Layout, TrainWhat};
use merge_ops::{ExportOptions, RecipeTensors, Registry};
use recipe_search::{Search, StudyFile, StudyFolder};
use tailor::Error;

use super::{Arguments, Trained};
use crate::cli::console::Console;
use crate::cli::hub::hub;
use crate::cli::target::{Target, open_model};

/// What is trained: a recipe over its family, and the study that it is of.
pub(crate) struct Patient {
    pub family: Family,
    pub recipe: ValidRecipe,
    pub registry: Registry,
    pub study: Option<Search>,
}

impl Patient {
    /// Opens the model and, where there is one, the study.
    ///
    /// # Errors
    /// What the crates say of files that cannot be read or do not fit together; [`Error::Train`] for an architecture
    /// that cannot be trained.
    pub fn open(arguments: &Arguments, console: &Console) -> Result<Self, Error> {
        let download = arguments.text.download;
        let of_study = |study: &StudyFile| hub(study.download || download, console);
        let read = |file| Ok::<_, Error>(StudyFile::read_with(file, of_study)?.check()?);
        let study = arguments.study.as_deref().map(read).transpose()?;
        let hub = hub(download, console);
        let (family, recipe, study) = match Target::of(&arguments.model, &hub)? {
            Target::StudyFolder(folder) => {
                let folder = StudyFolder::new(folder);
                let search = Search::new(match study {
                    Some(study) => study,
                    None => folder.study()?,
                })?;
                let recipe = search.recipe_of(&folder, None)?;
                (search.family().clone(), recipe, Some(search))
            }
            _ => {
                let (family, recipe): (Family, Recipe) = open_model(&arguments.model, &hub)?;
                (family, recipe, study.map(Search::new).transpose()?)
            }
        };
        let registry = study.as_ref().map_or_else(Registry::standard, |search| search.registry().clone());
        let recipe = recipe.validate(&family, &registry)?;
        Layout::of(family.base()).map_err(Error::train)?;
        Ok(Self { family, recipe, registry, study })
    }

    /// What of the model is trained.
    ///
    /// # Errors
    /// [`Error::NoGap`] for a model without one whose gaps are to be trained.
    pub fn what(&self, arguments: &Arguments) -> Result<TrainWhat, Error> {
        Ok(match arguments.train {
            Trained::All => TrainWhat::All,
            Trained::Lora => {
                let rank = arguments.rank;
                TrainWhat::Lora { rank, alpha: arguments.alpha.unwrap_or(2.0 * rank as f32) }
            }
            Trained::Gaps => {
                let beside = beside_gaps(&self.recipe, self.family.base().num_layers());
                if beside.is_empty() {
                    return Err(Error::NoGap(arguments.model.clone()));
                }
                TrainWhat::Layers(beside)
            }
        })
    }

    /// The tensors of the model.
    pub fn tensors(&self) -> RecipeTensors<'_> {
        RecipeTensors { family: &self.family, recipe: &self.recipe, registry: &self.registry }
    }

    /// Writes the model in f32, merged and bridged, as what the training starts from, and reads its numbers.
    ///
    /// # Errors
    /// What merge-ops and layer-train say.
    pub fn write_start(&self, folder: &Path) -> Result<(Layout, Vec<f32>), Error> {
        let options = ExportOptions {
            dtype: Some(layer_ir::Dtype::F32),
            max_shard_bytes: u64::MAX,
            overwrite: true,
            sync: false,
            ..ExportOptions::default()
        };
        merge_ops::export(self.tensors(), folder, &options)?;
        let start = Checkpoint::open(folder)?;
        let layout = Layout::of(&start).map_err(Error::train)?;
        let values = layout.read(&start).map_err(Error::train)?;
        Ok((layout, values))
    }
}

/// The output layers before and behind a gap: neighbours that do not come from neighbours of a model of so many layers;
/// the last one where the model goes on.
fn beside_gaps(recipe: &Recipe, layers: usize) -> Vec<usize> {
    let origins: Vec<Option<usize>> =
        recipe.layers.iter().map(|layer| layer.from.origin().map(|(_, layer)| layer)).collect();
    let mut beside = Vec::new();
    for (place, origin) in origins.iter().enumerate() {
        let next = origins.get(place + 1).copied().unwrap_or(Some(layers));
        if origin.zip(next).is_none_or(|(here, next)| next != here + 1) {
            beside.push(place);
            beside.extend((place + 1 < origins.len()).then_some(place + 1));
        }
    }
    beside.dedup();
    beside
}
