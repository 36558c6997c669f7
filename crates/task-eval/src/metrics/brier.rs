//! `brier_score`: how far the probabilities are from certainty about the right choice (Brier, *Verification of
//! forecasts expressed in terms of probability*, 1950).
//!
//! ```text
//! (1/n) sum over the documents of the sum over the choices k of (p_k - [k is right])^2
//! ```
//!
//! p is the softmax of the choices' log-likelihoods. From 0, for certainty about the right choice, to 2, for certainty
//! about a wrong one; less is better. A guess among m choices scores 1 - 1/m. A document without a right choice among
//! its choices is held against none: it scores the sum of p_k^2. The harness's metric and aggregation of this name; it
//! defines no standard error.

use tailor_registry::Settings;

use super::aggregation::numbers;
use super::statistics::mean;
use super::{Aggregation, AnswerKind, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;

/// As a metric, the choices' probabilities and the first right choice; as an aggregation, the mean squared distance.
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

/// `exp(ll) / sum of exp(ll)`, without overflow: the largest log-likelihood is taken out first. NaN where all are minus
/// infinity.
fn softmax(log_likelihoods: &[f64]) -> Vec<f64> {
    let largest = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_likelihoods.iter().map(|ll| (ll - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
