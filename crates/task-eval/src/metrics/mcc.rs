//! `mcc`: Matthews' correlation coefficient of the right classes with the predicted ones.
//!
//! With n documents, c of them right, and for each class k the numbers g_k of documents of that class and p_k of
//! predictions of it (Gorodkin, *Comparing two K-category assignments by a K-category correlation coefficient*, 2004,
//! equation 8; of two classes it is Matthews' own of 1975):
//!
//! ```text
//! (c n - sum of g_k p_k) / sqrt((n^2 - sum of g_k^2) (n^2 - sum of p_k^2))
//! ```
//!
//! From -1 to 1; more is better. 1 is all right, 0 a guess, whatever the classes' shares; 0, too, where all documents
//! or all predictions are of one class, which leaves the quotient undefined. The harness's metric is `mcc`, as here; it
//! computes it by scikit-learn. The standard error is bootstrapped.

use std::collections::BTreeMap;

use tailor_registry::Settings;

use super::f1::classes;
use super::metric::predicted_class;
use super::{Aggregation, AnswerKind, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;

/// As a metric, the gold class and the predicted one; as an aggregation, their correlation.
#[derive(Debug)]
pub(super) struct MatthewsCorrelation;

entry!(MatthewsCorrelation, "mcc", "Matthews' correlation of the right classes with the predicted ones.");

impl Metric for MatthewsCorrelation {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Classes)]
    }

    fn aggregation(&self) -> &str {
        "mcc"
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| answers.choices().map(predicted_class)))
    }
}

impl Aggregation for MatthewsCorrelation {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        Estimate::bootstrapped(&classes(observations), iterations, mcc)
    }
}

/// The correlation of pairs of (right, predicted), of any number of classes; 0 where it is not defined.
fn mcc(pairs: &[(i64, i64)]) -> f64 {
    let n = pairs.len() as f64;
    let mut counts: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for &(gold, predicted) in pairs {
        counts.entry(gold).or_default().0 += 1.0;
        counts.entry(predicted).or_default().1 += 1.0;
    }
    let right = pairs.iter().filter(|(gold, predicted)| gold == predicted).count() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| counts.values().map(of).sum::<f64>();
    let covariance = right * n - sum(|(gold, predicted)| gold * predicted);
    let spread = (n * n - sum(|(gold, _)| gold * gold)) * (n * n - sum(|(_, predicted)| predicted * predicted));
    if spread == 0.0 { 0.0 } else { covariance / spread.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// `tests/golden/units.json`: the harness's, which is scikit-learn's.
    #[test]
    fn the_correlation_is_the_harnesss() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let theirs = &units["agg"];
        let pair = |pair: &Value| Some((pair[0].as_f64()? as i64, pair[1].as_f64()? as i64));
        let pairs: Vec<_> = theirs["in"]["gp"].as_array().into_iter().flatten().filter_map(pair).collect();
        let (ours, theirs) = (mcc(&pairs), theirs["mcc"].as_f64().unwrap_or(f64::NAN));
        assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{ours} instead of {theirs}");
        Ok(())
    }

    #[test]
    fn the_correlation_of_one_class_is_zero() {
        assert_eq!(mcc(&[(1, 1), (1, 1)]), 0.0);
    }
}
