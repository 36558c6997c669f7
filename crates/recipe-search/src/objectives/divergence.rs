//! How far a model's next tokens are from the best parent's.

use tailor_registry::Entry;

use super::{DocumentLoss, Objective, Observation, TaskReference};

/// `Σ_t w_t · d_t`: weights `w`, the mean Kullback-Leibler divergence `d` from the best parent of each task, in nats
/// per token of the prompts. It stands beside nothing, as the best parent's own divergence is 0.
pub(super) struct Divergence;

impl Entry for Divergence {
    fn name(&self) -> &str {
        "divergence"
    }

    fn summary(&self) -> &str {
        "The weighted mean over the tasks of the divergence from the best parent, in nats per token of the prompts."
    }
}

impl Objective for Divergence {
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::TeacherDivergence
    }

    fn document(&self, observed: Observation, _: TaskReference) -> f64 {
        observed.loss
    }
}
