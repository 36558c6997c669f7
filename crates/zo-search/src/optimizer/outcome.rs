//! What came out of a trial.

use serde::{Deserialize, Serialize};

use crate::Fidelity;
use crate::optimizer::number;

/// Fewer paired instances than these say nothing.
const PAIRS: usize = 8;

/// What came out of a trial: objectives, all of which are to be small, or a failure.
///
/// ```
/// # use zo_search::{FailureKind, Outcome};
/// assert_eq!(Outcome::score(0.25).objective(), Some(0.25));
/// assert_eq!(Outcome::score(f64::NAN).objective(), None);
/// assert_eq!(Outcome::failed(FailureKind::OutOfMemory, "needs 90 GiB").objective(), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What is to be small; without a [`lead`](Self::lead), the first is the one that single-objective strategies go
    /// by.
    #[serde(with = "number::list", default)]
    pub objectives: Vec<f64>,
    /// What single-objective strategies, schedulers and the incumbent go by where that is none of the objectives, such
    /// as their mean.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<f64>,
    /// What the evaluation cost, in any unit (seconds, forward passes).
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The fraction of the instances that it stands on; none: the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// The score on each instance, in an order that is the same for all trials.
    #[serde(with = "number::list", default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<f64>,
    /// Why there is no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// By how much the point breaks a constraint that only its evaluation shows (bytes over a budget, say), in any
    /// unit; up to 0: it keeps them all. A point that breaks one is no result.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub violation: f64,
    /// Whatever else is to be kept in the journal.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub extra: serde_json::Value,
}

/// Why a trial has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// For people to read.
    pub message: String,
}

/// What kind of failure a trial met.
///
/// | kind | of | asked again by a [`Study`](crate::Study) | a model learns from it |
/// |---|---|---|---|
/// | `Invalid`, `NotANumber` | the point | no | yes, as worse than the worst |
/// | `Crash`, `OutOfMemory`, `Timeout` | the machine, perhaps | once more | yes, when the last attempt failed too |
/// | `Abandoned` | neither | no | no |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The point means nothing, or breaks a constraint.
    Invalid,
    /// The evaluation broke down.
    Crash,
    /// It needed more memory than there is.
    OutOfMemory,
    /// It took too long.
    Timeout,
    /// It gave something that is not a number: a property of the point.
    NotANumber,
    /// It was given up. Says nothing of the point.
    Abandoned,
}

impl Outcome {
    /// A result with one objective, which is to be small.
    #[must_use]
    pub fn score(objective: f64) -> Self {
        Self::scores([objective])
    }

    /// A result with several objectives, which are to be small.
    #[must_use]
    pub fn scores(objectives: impl Into<Vec<f64>>) -> Self {
        Self { objectives: objectives.into(), ..Self::default() }
    }

    /// With what single-objective strategies go by in place of the first objective.
    /// ```
    /// # use zo_search::Outcome;
    /// let outcome = Outcome::scores([0.2, 0.6]).with_lead(0.4);
    /// assert_eq!((outcome.objective(), outcome.further()), (Some(0.4), [0.2, 0.6].as_slice()));
    /// assert_eq!(Outcome::scores([0.2, 0.6]).further(), [0.6]);
    /// ```
    #[must_use]
    pub fn with_lead(mut self, lead: f64) -> Self {
        self.lead = Some(lead);
        self
    }

    /// A failure.
    #[must_use]
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { failure: Some(Failure { kind, message: message.into() }), ..Self::default() }
    }

    /// On this fraction of the instances.
    #[must_use]
    pub fn at(mut self, fidelity: Fidelity) -> Self {
        self.fidelity = Some(fidelity);
        self
    }

    /// With what it cost.
    #[must_use]
    pub fn with_cost(mut self, cost: f64) -> Self {
        self.cost = Some(cost);
        self
    }

    /// With the score on each instance.
    #[must_use]
    pub fn with_instances(mut self, instances: impl Into<Vec<f64>>) -> Self {
        self.instances = instances.into();
        self
    }

    /// Breaking a constraint by so much.
    #[must_use]
    pub fn with_violation(mut self, violation: f64) -> Self {
        self.violation = violation;
        self
    }

    /// With whatever else is to be kept.
    #[must_use]
    pub fn with_extra(mut self, extra: serde_json::Value) -> Self {
        self.extra = extra;
        self
    }

    /// What single-objective strategies go by: the lead, or else the first objective; none where [`Outcome::result`] is
    /// none.
    #[must_use]
    pub fn objective(&self) -> Option<f64> {
        let first = self.result()?.first().copied();
        self.lead.or(first)
    }

    /// The objectives beside the one that single-objective strategies go by.
    #[must_use]
    pub fn further(&self) -> &[f64] {
        let first = usize::from(self.lead.is_none()).min(self.objectives.len());
        &self.objectives[first..]
    }

    /// The objectives; none when the trial failed, broke a constraint, or the lead or any objective is not a finite
    /// number.
    #[must_use]
    pub fn result(&self) -> Option<&[f64]> {
        let finite = self.objectives.iter().chain(&self.lead).all(|x| x.is_finite());
        let sound = self.failure.is_none() && self.violation <= 0.0 && finite;
        Some(self.objectives.as_slice()).filter(|objectives| sound && !objectives.is_empty())
    }

    /// By how much this outcome is worse than another one by the objective: the mean of the differences of the
    /// [instances](Outcome::instances) that both have, and its standard error. What makes an instance hard for both
    /// weighs nothing in it. None of fewer than 8 pairs, or where a value is not finite.
    ///
    /// ```
    /// # use zo_search::Outcome;
    /// let hard = |i: u32| f64::from(i % 5);
    /// let a = Outcome::score(2.5).with_instances((0..16).map(|i| hard(i) + f64::from(i % 2)).collect::<Vec<_>>());
    /// let b = Outcome::score(2.0).with_instances((0..16).map(hard).collect::<Vec<_>>());
    /// let (worse, error) = a.paired_difference(&b).ok_or("too few pairs")?;
    /// assert!((worse - 0.5).abs() < 1e-12 && (error - 0.129).abs() < 1e-3); // half of them by 1, half by 0
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn paired_difference(&self, other: &Self) -> Option<(f64, f64)> {
        let differences = self.instances.iter().zip(&other.instances).map(|(own, other)| own - other);
        let n = self.instances.len().min(other.instances.len());
        if n < PAIRS || !differences.clone().all(f64::is_finite) {
            return None;
        }
        let mean = differences.clone().sum::<f64>() / n as f64;
        let squares: f64 = differences.map(|difference| (difference - mean).powi(2)).sum();
        Some((mean, (squares / (n - 1) as f64 / n as f64).sqrt()))
    }

    /// Whether it says something of the point: all but [`FailureKind::Abandoned`] do.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| failure.kind != FailureKind::Abandoned)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_survive_json() -> Result<(), serde_json::Error> {
        let strange = Outcome::scores([1.5, f64::INFINITY, f64::NEG_INFINITY]).with_cost(f64::INFINITY);
        let text = serde_json::to_string(&strange)?;
        assert_eq!(text, r#"{"objectives":[1.5,"inf","-inf"],"cost":"inf"}"#);
        assert_eq!(serde_json::from_str::<Outcome>(&text)?, strange);
        let nan: Outcome = serde_json::from_str(&serde_json::to_string(&Outcome::score(f64::NAN))?)?;
        assert!(nan.objectives[0].is_nan());
        Ok(())
    }

    #[test]
    fn one_bad_objective_spoils_the_outcome() {
        assert_eq!(Outcome::scores([1.0, f64::NAN]).objective(), None);
        assert_eq!(Outcome::scores([]).objective(), None);
        assert_eq!(Outcome::score(1.0).with_violation(0.5).objective(), None);
        assert_eq!(Outcome::score(1.0).with_violation(-0.5).objective(), Some(1.0));
        assert_eq!(Outcome::scores([1.0, 2.0]).objective(), Some(1.0));
    }
}
