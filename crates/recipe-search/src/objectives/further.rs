//! What a search makes small beside its objective: with any, the result is a Pareto front.

use layer_ir::{Cost, Family, ValidRecipe};
use tailor_registry::{Entry, Registry, Settings};

use crate::scores::{Reference, Scores};

/// One or more numbers that are to be small too.
///
/// Laws: every recipe of a study gives as many numbers; equal recipes give equal numbers.
pub trait FurtherObjective: Entry + Send + Sync {
    /// The numbers of a recipe that was scored, with the parameters that [`Entry::parameters`] describes.
    ///
    /// # Errors
    /// When a parameter is read that is not described.
    fn values(&self, model: &ScoredRecipe<'_>, settings: &Settings) -> Result<Vec<f64>, tailor_registry::Error>;

    /// Whether the numbers are what the study's objective is made of: then the front is one of them alone, and the
    /// objective only says which trial is the best. By default not.
    fn stand_for_the_objective(&self) -> bool {
        false
    }
}

/// A recipe with its scores.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRecipe<'a> {
    /// The recipe.
    pub recipe: &'a ValidRecipe,
    /// The models that it is made of.
    pub family: &'a Family,
    /// Its scores on each task.
    pub scores: &'a Scores,
    /// What the parents reach.
    pub reference: &'a Reference,
}

/// The share of the base's parameters that is left, one number from 0 to 1.
pub struct ParametersLeft;

impl Entry for ParametersLeft {
    fn name(&self) -> &str {
        "parameters"
    }

    fn summary(&self) -> &str {
        "The share of the base's parameters that is left."
    }
}

impl FurtherObjective for ParametersLeft {
    fn values(&self, model: &ScoredRecipe<'_>, _: &Settings) -> Result<Vec<f64>, tailor_registry::Error> {
        let base = model.family.base();
        let parameters = |layers| Cost::of_checkpoint(base, layers, base.dtype()).parameters as f64;
        Ok(vec![parameters(model.recipe.layers.len()) / parameters(base.num_layers()).max(1.0)])
    }
}

/// For each task, 1 − score / best parent's score: as many numbers as there are tasks.
pub struct TaskLosses;

impl Entry for TaskLosses {
    fn name(&self) -> &str {
        "tasks"
    }

    fn summary(&self) -> &str {
        "For each task, 1 - score / best parent's score."
    }
}

impl FurtherObjective for TaskLosses {
    fn values(&self, model: &ScoredRecipe<'_>, _: &Settings) -> Result<Vec<f64>, tailor_registry::Error> {
        let tasks = model.scores.iter().zip(&model.reference.best);
        Ok(tasks.map(|(score, best)| 1.0 - score.score / best).collect())
    }

    fn stand_for_the_objective(&self) -> bool {
        true
    }
}

/// The further objectives of this crate.
#[must_use]
pub fn standard_further_objectives() -> Registry<dyn FurtherObjective> {
    let rows: [Box<dyn FurtherObjective>; 2] = [Box::new(ParametersLeft), Box::new(TaskLosses)];
    Registry::with_rows("further objective", rows)
}
