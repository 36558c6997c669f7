//! `brier_score`: how far the probabilities are from certainty about the gold (Brier, *Verification of forecasts expressed
//! in terms of probability*, 1950).
//!
//! ```text
//! (1/n) sum over the documents of the sum over the choices k of (p_k - [k is right])^2
//! ```
//!
//! p is the softmax of the choices' log-likelihoods. From 0, for certainty about the right choice, to 2.

use tailor_registry::Settings;

use super::aggregation::numbers;
use super::statistics::mean;
use super::{Aggregation, AnswerKind, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;

/// As a metric, the choices' probabilities; as an aggregation, the mean squared distance.
#[derive(Debug)]
pub(super) struct BrierScore;

entry!(
    BrierScore,
    "brier_score",
    "The squared distance between the choices' probabilities and certainty about the gold."
);

impl Metric for BrierScore {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Distribution)]
    }

    fn aggregation(&self) -> &str {
        "brier_score"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| {
            let choices = answers.choices()?;
            let probabilities = softmax(choices.log_likelihoods);
            Ok(Observation::Distribution { gold: choices.gold_class(), probabilities })
        }))
    }
}

impl Aggregation for BrierScore {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Distribution
    }

    fn aggregate(&self, observations: &[&Observation], _: usize) -> Estimate {
        Estimate::without_error(mean(&numbers(observations)))
    }
}

/// softmax of log-likelihoods.
fn softmax(log_likelihoods: &[f64]) -> Vec<f64> {
    let largest = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_likelihoods.iter().map(|ll| (ll - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
