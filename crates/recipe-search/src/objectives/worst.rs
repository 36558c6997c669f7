//! What is lost on the task where most is lost.

use tailor_registry::Entry;

use super::retention::Retention;
use super::{Objective, Observation, TaskReference};

/// `1 − min_t s_t / b_t`: mean metrics `s`, those of the best parent of each task `b`.
///
/// The terms are those of [`Retention`]; the task where `s_t / b_t` is least has all of the share, of equal ones the
/// last.
pub(super) struct Worst;

impl Entry for Worst {
    fn name(&self) -> &str {
        "worst"
    }

    fn summary(&self) -> &str {
        "1 - score / best parent's score of the task where it is highest, whatever the weights."
    }
}

impl Objective for Worst {
    fn document(&self, observed: Observation, best: TaskReference) -> f64 {
        Retention.document(observed, best)
    }

    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        Retention.relative(mean, best)
    }

    fn offset(&self) -> f64 {
        Retention.offset()
    }

    fn shares(&self, tasks: &[f64], _: &[f64]) -> Vec<f64> {
        let lost = |task: usize| self.offset() + tasks[task];
        let worst = (0..tasks.len()).max_by(|a, b| lost(*a).total_cmp(&lost(*b)));
        (0..tasks.len()).map(|task| if Some(task) == worst { 1.0 } else { 0.0 }).collect()
    }
}
