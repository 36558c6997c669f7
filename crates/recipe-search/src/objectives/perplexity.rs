//! The logarithm of the prompts' perplexity beside the best parent's.

use tailor_registry::Entry;

use super::{DocumentLoss, Objective, Observation, TaskReference};

/// `Σ_t w_t · l_t / b_t`: weights `w`, the mean of -ln p per token of the prompts `l`, the best parent's `b`.
pub(super) struct Perplexity;

impl Entry for Perplexity {
    fn name(&self) -> &str {
        "perplexity"
    }

    fn summary(&self) -> &str {
        "The weighted mean over the tasks of -ln p per token of the prompts / the best parent's. Needs no labels."
    }
}

impl Objective for Perplexity {
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::PromptLikelihood
    }

    fn document(&self, observed: Observation, _: TaskReference) -> f64 {
        observed.loss
    }

    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        mean / best.loss
    }
}
