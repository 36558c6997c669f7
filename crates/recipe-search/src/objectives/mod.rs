//! What a search makes small: the objectives that a study can name, and those beside it.

mod divergence;
mod further;
mod loss;
mod mixed;
mod perplexity;
mod probability;
mod retention;
mod worst;

use tailor_registry::{Entry, Registry, Settings};

pub use further::{FurtherObjective, ParametersLeft, ScoredRecipe, TaskLosses, standard_further_objectives};

pub use crate::scores::{Observation, TaskReference};
use crate::scores::{Reference, Scores, TaskScore, mean_and_error};

/// What a search makes small, of the documents that a recipe was scored on.
///
/// One definition serves both the ranking of recipes and a race, which compares two of them document by document:
///
/// 1. [`document`](Self::document) is what one document is worth, in any unit;
/// 2. [`relative`](Self::relative) puts the mean of that over a task's documents beside what the best parent reaches;
/// 3. the objective is [`offset`](Self::offset) plus the sum of these over the tasks, each times its
///    [share](Self::shares).
///
/// Laws, tried by [`testing::check_objective`](crate::testing::check_objective) on yours too: (1) the mean of what
/// the documents add is the objective, for which `relative` must be affine in its mean, `relative(a·x + (1 − a)·y) =
/// a·relative(x) + (1 − a)·relative(y)`; (2) the shares are as many as the tasks, none is negative, and their sum is
/// 1; (3) documents that an objective cannot read give NaN, not a number.
///
/// ```
/// use recipe_search::{DocumentLoss, Objective, Observation, TaskReference};
/// use recipe_search::registry::Entry;
///
/// /// The mean squared loss, by which a document on which the model is quite wrong counts more.
/// struct SquaredLoss;
///
/// impl Entry for SquaredLoss {
///     fn name(&self) -> &str { "squared_loss" }
///     fn summary(&self) -> &str { "The mean over the tasks of the squared loss." }
/// }
///
/// impl Objective for SquaredLoss {
///     fn loss(&self) -> DocumentLoss { DocumentLoss::Task }
///     fn document(&self, observed: Observation, _: TaskReference) -> f64 { observed.loss.powi(2) }
/// }
///
/// recipe_search::testing::check_objective(&SquaredLoss)?;
/// # Ok::<(), recipe_search::testing::BrokenObjective>(())
/// ```
pub trait Objective: Entry + Send + Sync {
    /// What it reads beside the metric: decides which passes through the model a document takes. By default nothing.
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::Unread
    }

    /// What one document is worth. Its mean over a task's documents is what [`Self::relative`] reads.
    fn document(&self, observed: Observation, best: TaskReference) -> f64;

    /// A task's mean beside what the best parent reaches on the task; smaller is better. By default the mean itself.
    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        let _ = best;
        mean
    }

    /// What is added to the sum over the tasks. By default 0.
    fn offset(&self) -> f64 {
        0.0
    }

    /// The share of each task in the sum, of which `tasks` are the terms and `weights`, of sum 1, the study's
    /// weights. By default the weights.
    fn shares(&self, tasks: &[f64], weights: &[f64]) -> Vec<f64> {
        let _ = tasks;
        weights.to_vec()
    }

    /// The same objective with the parameters that [`Entry::parameters`] describes; [`None`] (the default): it has
    /// none.
    ///
    /// # Errors
    /// When the parameters do not fit together.
    fn configured(&self, settings: &Settings) -> Result<Option<Box<dyn Objective>>, tailor_registry::Error> {
        let _ = settings;
        Ok(None)
    }
}

/// What stands for the loss of a document, in nats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentLoss {
    /// The objective reads none. What the task gives is shown all the same.
    #[default]
    Unread,
    /// What the task gives; a study with a task that gives none, such as one that generates text, is refused.
    Task,
    /// What the task gives, where it gives one. The objective goes by the metric alone where it gives none.
    TaskIfGiven,
    /// -ln p per token of the document's prompt. Needs no labels.
    PromptLikelihood,
    /// The Kullback-Leibler divergence on the prompt from the best parent of the task, per token. Needs labels to
    /// say which parent that is.
    TeacherDivergence,
}

impl dyn Objective + '_ {
    /// The objective of a model with these scores; NaN where a task lacks what the objective reads.
    #[must_use]
    pub fn value(&self, scores: &Scores, reference: &Reference) -> f64 {
        let terms = self.terms(scores, reference);
        let shares = self.shares(&terms, &reference.weights);
        // A task without a share may be one whose term is not finite.
        let counted = shares.iter().zip(&terms).filter(|(share, _)| **share != 0.0);
        self.offset() + counted.map(|(share, term)| share * term).sum::<f64>()
    }

    /// What each scored document of each task adds, in units in which the mean over a task's documents is the task's
    /// part of the objective: these parts add up to it.
    #[must_use]
    pub fn contributions(&self, scores: &Scores, reference: &Reference) -> Vec<Vec<f64>> {
        let shares = self.shares(&self.terms(scores, reference), &reference.weights);
        let of_task = |(task, (score, share)): (usize, (&TaskScore, &f64))| {
            let best = reference.task(task);
            let worth = |document| share * (self.offset() + self.relative(self.document(document, best), best));
            score.observations().map(worth).collect()
        };
        scores.iter().zip(&shares).enumerate().map(of_task).collect()
    }

    fn terms(&self, scores: &Scores, reference: &Reference) -> Vec<f64> {
        let term = |(task, score): (usize, &TaskScore)| {
            let best = reference.task(task);
            let documents: Vec<f64> = score.observations().map(|document| self.document(document, best)).collect();
            let (mean, _) = mean_and_error(documents.iter().copied());
            self.relative(if mean.is_finite() { mean } else { f64::NAN }, best)
        };
        scores.iter().enumerate().map(term).collect()
    }
}

/// The objectives of this crate, in the order of the documentation.
#[must_use]
pub fn standard_objectives() -> Registry<dyn Objective> {
    let rows: [Box<dyn Objective>; 7] = [
        Box::new(retention::Retention),
        Box::new(loss::Loss),
        Box::new(probability::Probability::default()),
        Box::new(mixed::Mixed::default()),
        Box::new(worst::Worst),
        Box::new(divergence::Divergence),
        Box::new(perplexity::Perplexity),
    ];
    Registry::with_rows("objective", rows)
}
