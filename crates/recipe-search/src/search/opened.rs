//! The space of a study as its search uses it: with its bridges, which need the study's folder.

use std::path::Path;
use std::sync::Arc;

use layer_ir::Recipe;
use layer_runtime::Runtime;

use super::{Event, Search};
use crate::baselines::Baseline;
use crate::bridges::Sink;
use crate::evaluator::Split;
use crate::results::StudyFolder;
use crate::space::{BridgePlan, BridgedSpace, RecipeBridges};
use crate::{BridgeMethod, Error, RecipeSpace};

/// The space of a study, with bridges where the study has some.
pub(crate) enum OpenSpace {
    /// Without bridges.
    Plain(Box<dyn RecipeSpace>),
    /// With bridges, which the baselines get too.
    Bridged(BridgedSpace, Arc<RecipeBridges>),
}

impl OpenSpace {
    /// A plain space with the bridges of the plan, if there is one, from the statistics in the study's folder; what is
    /// not there is gathered. Bridges are written into `own`, or else into that folder too.
    ///
    /// # Errors
    /// When a model cannot be run, or a file cannot be read or written.
    pub fn of(
        plain: Box<dyn RecipeSpace>,
        plan: Option<&BridgePlan>,
        runtime: &Runtime,
        folder: &StudyFolder,
        own: Option<&Path>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Self, Error> {
        let Some(plan) = plan.filter(|plan| plan.method != BridgeMethod::Off) else { return Ok(Self::Plain(plain)) };
        let statistics = folder.bridges()?;
        let own = own.unwrap_or(&statistics);
        let bridges = Arc::new(RecipeBridges::open(plan, runtime, &statistics, own, watch)?);
        Ok(Self::Bridged(BridgedSpace::new(plain, Arc::clone(&bridges)), bridges))
    }

    /// The space.
    pub fn space(&self) -> &dyn RecipeSpace {
        match self {
            Self::Plain(space) => &**space,
            Self::Bridged(space, _) => space,
        }
    }

    /// The same points, whose recipes have no bridges.
    pub fn plain(&self) -> &dyn RecipeSpace {
        match self {
            Self::Plain(space) => &**space,
            Self::Bridged(space, _) => space.plain(),
        }
    }

    /// Whether recipes have bridges.
    pub fn is_bridged(&self) -> bool {
        matches!(self, Self::Bridged(..))
    }

    /// The attention sinks of a model, where its statistics tell them.
    pub fn sinks(&self, model: &str) -> Option<Vec<Sink>> {
        match self {
            Self::Plain(_) => None,
            Self::Bridged(_, bridges) => bridges.sinks(model),
        }
    }

    /// Says that there are no more trials: from now on the files of bridges stay.
    pub fn keep_files(&self) {
        if let Self::Bridged(_, bridges) = self {
            bridges.keep_files();
        }
    }

    /// A recipe with the bridges of the study.
    ///
    /// # Errors
    /// As of [`RecipeBridges::bridge`].
    pub fn bridged(&self, recipe: Recipe) -> Result<Recipe, Error> {
        match self {
            Self::Plain(_) => Ok(recipe),
            Self::Bridged(_, bridges) => bridges.bridge(&recipe),
        }
    }
}

impl Search {
    /// The space that is searched, with the bridges of the study in `folder`: what a trial's point stands for. The
    /// statistics of bridges are read from the folder; what is not there is gathered, and written into it.
    ///
    /// # Errors
    /// What the space says of the family; of bridges, too little calibration text or memory, a model that cannot be
    /// run, a file that cannot be written.
    pub fn space_in(&self, folder: &StudyFolder) -> Result<Box<dyn RecipeSpace>, Error> {
        Ok(match self.open_space(folder, &mut |_| {})? {
            OpenSpace::Plain(space) => space,
            OpenSpace::Bridged(space, _) => Box::new(space),
        })
    }

    /// The same, for baselines too.
    pub(crate) fn open_space(&self, folder: &StudyFolder, watch: &mut dyn FnMut(Event)) -> Result<OpenSpace, Error> {
        let plain = self.space()?;
        if self.study.space.bridge == BridgeMethod::Off {
            return Ok(OpenSpace::Plain(plain));
        }
        let (runtime, text) = (self.runtime()?, self.text()?);
        let evaluator = self.evaluator_on(Split::Validation, &text, runtime.clone())?;
        let plan = BridgePlan::of(&self.study, &*plain, &evaluator, &text, &runtime)?;
        OpenSpace::of(plain, plan.as_ref(), &runtime, folder, None, watch)
    }

    /// A baseline's recipe, with the bridges of the study.
    ///
    /// # Errors
    /// As of [`OpenSpace::bridged`].
    pub(crate) fn bridged_baseline(&self, space: &OpenSpace, baseline: &Baseline) -> Result<Recipe, Error> {
        space.bridged(self.baseline_recipe(baseline))
    }
}
