//! An objective between the weighted mean and the worst task: a task counts the more, the more is lost on it.

use recipe_search::{Objective, Observation, TaskReference};
use tailor_registry::Entry;

/// `objective = "soft_worst"`: `Σ_t p_t · (1 − s_t / b_t)`, `p_t` proportional to `w_t · e^(10 · (1 − s_t / b_t))`;
/// weights `w`, mean metrics `s`, the best parent's `b`.
///
/// [`Objective::relative`] is affine in the mean, as its law wants it: what is not affine stands in the shares.
pub struct SoftWorst;

impl Entry for SoftWorst {
    fn name(&self) -> &str {
        "soft_worst"
    }
    fn summary(&self) -> &str {
        "What is lost of the best parents' scores, tasks on which much is lost counting more."
    }
}

impl Objective for SoftWorst {
    fn document(&self, observed: Observation, _: TaskReference) -> f64 {
        observed.metric
    }
    fn relative(&self, mean: f64, best: TaskReference) -> f64 {
        1.0 - mean / best.metric
    }
    fn shares(&self, tasks: &[f64], weights: &[f64]) -> Vec<f64> {
        // `tasks` are the terms: what is lost on each.
        let worth: Vec<f64> = tasks.iter().zip(weights).map(|(lost, weight)| weight * (10.0 * lost).exp()).collect();
        let total: f64 = worth.iter().sum();
        worth.into_iter().map(|worth| worth / total).collect()
    }
}
