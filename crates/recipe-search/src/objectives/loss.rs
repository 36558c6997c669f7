//! The loss beside the best parent's.

use tailor_registry::Entry;

use super::{DocumentLoss, Objective, Observation, TaskReference};

/// `Σ_t w_t · l_t / b_t`: weights `w`, mean losses `l` in nats, the smallest of a parent on each task `b`.
pub(super) struct Loss;

impl Entry for Loss {
    fn name(&self) -> &str {
        "loss"
    }

    fn summary(&self) -> &str {
        "The weighted mean over the tasks of loss / best parent's loss: less noise, but not what is reported."
    }
}

impl Objective for Loss {
    fn loss(&self) -> DocumentLoss {
        DocumentLoss::Task
    }

    fn document(&self, observed: Observation, _: TaskReference) -> f64 {
        observed.loss
    }

    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        mean / best.loss
    }
}
