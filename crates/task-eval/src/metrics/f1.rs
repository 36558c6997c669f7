//! `f1`, `macro_f1` and `em`: F1 of classes; of graded choices, how far the chosen answer agrees with the right one.
//!
//! ```text
//! F1 of a class  2 TP / (2 TP + FP + FN)      TP: rightly predicted, FP: wrongly predicted, FN: missed
//! macro_f1       the mean of the F1 of the classes 0, 1 and 2
//! ```
//!
//! All are from 0 to 1; more is better. F1 is 0 where no document is of the class and none is predicted to be, as
//! scikit-learn has it.
//!
//! | name | what it is | of choices | of graded choices |
//! |---|---|---|---|
//! | `f1` | metric of the harness | the right class and the predicted one | F1 of the chosen answer's words |
//! | `f1` | aggregation of the harness | F1 of class 1, error bootstrapped | - |
//! | `macro_f1` | aggregation, a function of the harness's task `cb` | mean of three F1, without an error | - |
//! | `em` | metric of the harness's task `record` | - | 1 if the chosen answer is the right one |
//!
//! Graded choices are ReCoRD's: there each document has a number of its own, and the task's number is their mean, so a
//! task names `aggregation: mean` for `f1`. [`squad`](super::squad) says how answers agree.

use tailor_registry::Settings;

use super::metric::predicted_class;
use super::statistics::mean;
use super::{Aggregation, AnswerKind, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::entry::entry;

/// As a metric, the gold class and the predicted one, or of graded choices F1 of the chosen one's words; as an
/// aggregation, F1 of class 1.
#[derive(Debug)]
pub(super) struct F1;

entry!(F1, "f1", "F1 of class 1; of graded choices, F1 of the words of the chosen answer and the right one.");

impl Metric for F1 {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Classes), (AnswerKind::GradedChoices, ObservationKind::Number)]
    }

    fn aggregation(&self) -> &str {
        "f1"
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| {
            let choices = answers.choices()?;
            Ok(match choices.agreement {
                Some(all) => Observation::Number(all.get(choices.chosen()).map_or(0.0, |agreement| agreement.f1)),
                None => predicted_class(choices),
            })
        }))
    }
}

impl Aggregation for F1 {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        Estimate::bootstrapped(&classes(observations), iterations, |pairs| f1_of(1, pairs))
    }
}

/// The mean of the F1 of three classes: what the task `cb` calls `macro_f1`.
#[derive(Debug)]
pub(super) struct MacroF1;

entry!(MacroF1, "macro_f1", "The mean of the F1 of the classes 0, 1 and 2.");

impl Aggregation for MacroF1 {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn aggregate(&self, observations: &[&Observation], _: usize) -> Estimate {
        let pairs = classes(observations);
        Estimate::without_error(mean(&[0, 1, 2].map(|class| f1_of(class, &pairs))))
    }
}

/// Of graded choices: 1 if the chosen answer is the right one, without case, punctuation and articles; else 0.
#[derive(Debug)]
pub(super) struct ExactAgreement;

entry!(
    ExactAgreement,
    "em",
    "Of graded choices: is the chosen answer the right one, without case, punctuation and articles?"
);

impl Metric for ExactAgreement {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::GradedChoices, ObservationKind::Number)]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| {
            let choices = answers.choices()?;
            let Some(all) = choices.agreement else { return Err(answers.wrong()) };
            Ok(Observation::Whole(i64::from(all.get(choices.chosen()).is_some_and(|agreement| agreement.exact))))
        }))
    }
}

/// The gold class and the predicted one of each document. What is no classification becomes one of two classes: right
/// is (1, 1), wrong (1, 0).
pub(super) fn classes(observations: &[&Observation]) -> Vec<(i64, i64)> {
    let pair = |observation: &&Observation| match *observation {
        Observation::Classes { gold, predicted } => (*gold, *predicted),
        // A number is right or wrong.
        other => (1, i64::from(other.value() > 0.0)),
    };
    observations.iter().map(pair).collect()
}

/// F1 of a class over the documents' pairs of (right, predicted), from 0 to 1; 0 where it is not defined. A miss is a
/// pair of which one side alone is the class, so `misses` is FP + FN.
fn f1_of(class: i64, pairs: &[(i64, i64)]) -> f64 {
    let count = |test: &dyn Fn(bool, bool) -> bool| {
        pairs.iter().filter(|(gold, predicted)| test(*gold == class, *predicted == class)).count() as f64
    };
    let hits = count(&|gold, predicted| gold && predicted);
    let misses = count(&|gold, predicted| gold != predicted);
    if hits + misses == 0.0 { 0.0 } else { 2.0 * hits / (2.0 * hits + misses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// `tests/golden/units.json`: the harness's, which is scikit-learn's.
    #[test]
    fn f1_of_classes_is_the_harnesss() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let theirs = &units["agg"];
        let pair = |pair: &Value| Some((pair[0].as_f64()? as i64, pair[1].as_f64()? as i64));
        let pairs: Vec<_> = theirs["in"]["gp"].as_array().into_iter().flatten().filter_map(pair).collect();
        let (ours, theirs) = (f1_of(1, &pairs), theirs["f1"].as_f64().unwrap_or(f64::NAN));
        assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{ours} instead of {theirs}");
        Ok(())
    }

    #[test]
    fn f1_of_a_class_that_is_not_there_is_zero() {
        assert_eq!(f1_of(1, &[(0, 0)]), 0.0);
    }
}
