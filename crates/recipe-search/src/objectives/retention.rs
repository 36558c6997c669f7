//! What is lost of the best parents' scores.

use tailor_registry::Entry;

use super::{Objective, Observation, TaskReference};

/// `1 − Σ_t w_t · s_t / b_t`: weights `w`, mean metrics `s`, those of the best parent of each task `b`.
pub(super) struct Retention;

impl Entry for Retention {
    fn name(&self) -> &str {
        "retention"
    }

    fn summary(&self) -> &str {
        "1 - the weighted mean over the tasks of score / best parent's score."
    }
}

impl Objective for Retention {
    fn document(&self, observed: Observation, _: TaskReference) -> f64 {
        observed.metric
    }

    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        -(mean / best.metric)
    }

    fn offset(&self) -> f64 {
        1.0
    }
}
