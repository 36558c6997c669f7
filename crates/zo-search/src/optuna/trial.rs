//! A trial as one of Optuna's.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::Parameter;
use super::attributes::{Attributes, json_number};
use super::parameters::parameters;
use crate::{Fidelity, History, Injected, Origin, Outcome, Point, Record, Space};

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrialState {
    /// It is pending.
    Running,
    /// It has a result on all instances.
    Complete,
    /// It has a result on a part of the instances.
    Pruned,
    /// It has no result.
    Fail,
}

impl TrialState {
    /// Optuna's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Pruned => "PRUNED",
            Self::Fail => "FAIL",
        }
    }
}

/// What Optuna would know of a trial. Its number is its place in the study.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OptunaTrial {
    /// What became of it.
    pub state: TrialState,
    /// When it was asked.
    pub started: SystemTime,
    /// When it was told.
    pub completed: Option<SystemTime>,
    /// The active parameters.
    pub parameters: Vec<Parameter>,
    /// The objectives; none while it runs and where it failed. No one is NaN.
    pub values: Vec<f64>,
    /// What it was worth at each step, rising, up to 1000.
    pub intermediate_values: Vec<(u32, f64)>,
    /// For people to read.
    pub user_attributes: Map<String, Value>,
    /// For Optuna to read.
    pub system_attributes: Map<String, Value>,
}

/// How many objectives a study has: those of the first outcome that has some; 1 while there is none.
pub(super) fn objectives(history: &History) -> usize {
    let told = history.trials().iter().filter_map(|record| record.outcome.as_ref());
    let known = history.injected().iter().map(|known| &known.outcome);
    told.chain(known).map(|outcome| outcome.objectives.len()).find(|count| *count > 0).unwrap_or(1)
}

/// What was known before, and then the trials.
pub(super) fn trials(history: &History, objectives: usize) -> Vec<OptunaTrial> {
    let (space, records) = (history.header().space(), history.trials());
    let began = records.first().map_or(SystemTime::UNIX_EPOCH, |first| first.asked);
    let known = history.injected().iter().map(|known| injected(space, known, began, objectives));
    let shift = history.injected().len() as u64;
    known.chain(records.iter().map(|record| asked(space, records, record, shift, objectives))).collect()
}

fn injected(space: &Space, known: &Injected, began: SystemTime, objectives: usize) -> OptunaTrial {
    let mut attributes = Attributes::default();
    attributes.add("origin", Origin::Injected.to_string());
    attributes.add("warm_start_from", format!("trial {} of {}", known.id, known.from));
    let fidelity = known.outcome.fidelity.unwrap_or(Fidelity::FULL);
    let mut way = Vec::new();
    if !fidelity.is_full() {
        step(&mut way, &known.outcome, fidelity);
    }
    let given = Given { space, point: &known.point, fidelity, objectives };
    given.trial(Some(&known.outcome), began, Some(began), way, attributes)
}

/// A trial of which those known before shift the number by `shift`.
fn asked(space: &Space, records: &[Record], record: &Record, shift: u64, objectives: usize) -> OptunaTrial {
    let (trial, outcome) = (&record.trial, record.outcome.as_ref());
    let fidelity = outcome.and_then(|outcome| outcome.fidelity).unwrap_or(trial.fidelity);
    let mut attributes = Attributes::default();
    attributes.add("trial", trial.id.0);
    attributes.add("origin", trial.origin.to_string());
    let lower = lower_rungs(records, record);
    if let Some(from) = lower.last() {
        attributes.add("promoted_from", from.trial.id.0 + shift);
    }
    let messages = record.retried.iter().filter_map(|outcome| Some(outcome.failure.as_ref()?.message.as_str()));
    let messages: Vec<&str> = messages.collect();
    if !messages.is_empty() {
        attributes.add("retried", messages);
    }
    let given = Given { space, point: &trial.point, fidelity, objectives };
    given.trial(outcome, record.asked, record.told, steps(&lower, record, fidelity), attributes)
}

/// What was asked, in a study of so many objectives.
struct Given<'a> {
    space: &'a Space,
    point: &'a Point,
    fidelity: Fidelity,
    objectives: usize,
}

impl Given<'_> {
    fn trial(
        self,
        outcome: Option<&Outcome>,
        started: SystemTime,
        completed: Option<SystemTime>,
        intermediate_values: Vec<(u32, f64)>,
        mut attributes: Attributes,
    ) -> OptunaTrial {
        let values = outcome.and_then(|outcome| values(outcome, self.objectives));
        let state = match (outcome, &values) {
            (None, _) => TrialState::Running,
            (Some(_), None) => TrialState::Fail,
            (Some(_), Some(_)) if self.fidelity.is_full() => TrialState::Complete,
            (Some(_), Some(_)) => TrialState::Pruned,
        };
        if !self.fidelity.is_full() {
            attributes.add("fidelity", self.fidelity.fraction());
        }
        if let Some(outcome) = outcome {
            attributes.add_outcome(outcome);
            if state == TrialState::Fail && outcome.failure.is_none() {
                let found: Vec<Value> = outcome.objectives.iter().copied().map(json_number).collect();
                attributes
                    .add("failure", format!("{} objectives are needed, none NaN or minus infinity", self.objectives));
                attributes.add("objectives", found);
            }
            attributes.add_extra("", &outcome.extra);
        }
        attributes.add_lists(self.point);
        OptunaTrial {
            state,
            started,
            completed,
            parameters: parameters(self.space, self.point),
            values: values.unwrap_or_default(),
            intermediate_values,
            user_attributes: attributes.into_map(),
            system_attributes: outcome.map(constraints).unwrap_or_default(),
        }
    }
}

/// By how much it breaks a constraint, where it says anything of one, as Optuna's `constraints_func` would. JSON has no
/// infinities; NaN breaks the constraint.
fn constraints(outcome: &Outcome) -> Map<String, Value> {
    let violation = if outcome.violation.is_nan() { f64::MAX } else { outcome.violation };
    let said = Some(violation.clamp(f64::MIN, f64::MAX)).filter(|violation| *violation != 0.0);
    said.map(|violation| ("constraints".to_owned(), json!([violation]))).into_iter().collect()
}

/// The objectives, unless Optuna would call the trial failed or, at minus infinity, the best of all. Plus infinity may
/// stand there.
fn values(outcome: &Outcome, objectives: usize) -> Option<Vec<f64>> {
    let sound = outcome.objectives.iter().chain(&outcome.lead).all(|x| *x > f64::NEG_INFINITY);
    let usable = sound && outcome.failure.is_none() && outcome.objectives.len() == objectives;
    usable.then(|| outcome.objectives.clone())
}

/// The trials of the same point on fewer instances, from which it was promoted, the lowest first.
fn lower_rungs<'a>(records: &'a [Record], record: &'a Record) -> Vec<&'a Record> {
    let before = |record: &Record| {
        let Origin::Promotion(from) = record.trial.origin else { return None };
        let earlier = records.get(usize::try_from(from.0).ok()?)?;
        // The promotion of a scheduler within another one names a trial of the inner one's: another number here.
        let fits = earlier.trial.point == record.trial.point && earlier.trial.fidelity < record.trial.fidelity;
        fits.then_some(earlier)
    };
    let mut lower: Vec<&Record> = std::iter::successors(before(record), |earlier| before(earlier)).collect();
    lower.reverse();
    lower
}

/// The intermediate values of a trial, after those of the lower rungs. None where nothing has rungs or fractions.
fn steps(lower: &[&Record], record: &Record, fidelity: Fidelity) -> Vec<(u32, f64)> {
    let mut steps = Vec::new();
    for earlier in lower {
        if let Some(outcome) = &earlier.outcome {
            step(&mut steps, outcome, outcome.fidelity.unwrap_or(earlier.trial.fidelity));
        }
    }
    if let Some(outcome) = record.outcome.as_ref().filter(|_| record.trial.rung.is_some() || !fidelity.is_full()) {
        step(&mut steps, outcome, fidelity);
    }
    steps
}

/// Adds what strategies go by at a fraction of the instances, in thousandths; above the step before in any case.
fn step(steps: &mut Vec<(u32, f64)>, outcome: &Outcome, fidelity: Fidelity) {
    let Some(value) = outcome.lead.or(outcome.objectives.first().copied()).filter(|_| outcome.failure.is_none()) else {
        return;
    };
    let least = steps.last().map_or(1, |(before, _)| before + 1);
    // From 0 to 1000.
    let step = (1000.0 * fidelity.fraction()).round() as u32;
    steps.push((step.max(least), value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optuna::OptunaStudy;
    use crate::{Error, FailureKind, Halving, Header, Optimizer, RandomSearch, Study};

    fn told(strategy: impl Optimizer + 'static, outcomes: &[Outcome]) -> Result<OptunaStudy, Error> {
        let mut study = Study::in_memory(Header::new("a", 7), strategy)?.with_retries(0);
        for outcome in outcomes {
            let trial = study.ask()?;
            study.tell(trial.id, outcome.clone())?;
        }
        study.ask()?;
        Ok(OptunaStudy::of(study.history()))
    }

    fn random() -> RandomSearch {
        RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7)
    }

    #[test]
    fn each_outcome_has_its_state() -> Result<(), Error> {
        let outcomes = [
            (Outcome::score(0.5), TrialState::Complete),
            (Outcome::score(f64::INFINITY), TrialState::Complete),
            (Outcome::score(0.5).with_violation(2.0), TrialState::Complete),
            (Outcome::score(f64::NEG_INFINITY), TrialState::Fail),
            (Outcome::score(f64::NAN), TrialState::Fail),
            (Outcome::score(0.5).with_lead(f64::NAN), TrialState::Fail),
            (Outcome::scores([0.5, 0.5]), TrialState::Fail),
            (Outcome::scores([]), TrialState::Fail),
            (Outcome::failed(FailureKind::Crash, "no"), TrialState::Fail),
            (Outcome::score(0.5).at(Fidelity::new(0.5)?), TrialState::Pruned),
        ];
        let theirs = told(random(), &outcomes.clone().map(|(outcome, _)| outcome))?;
        for (trial, (outcome, state)) in theirs.trials.iter().zip(&outcomes) {
            assert_eq!(trial.state, *state, "{outcome:?}");
            assert_eq!(trial.values.is_empty(), *state == TrialState::Fail, "{outcome:?}");
            assert_eq!(trial.user_attributes.contains_key("failure"), *state == TrialState::Fail, "{outcome:?}");
        }
        assert_eq!(theirs.trials[2].system_attributes["constraints"], json!([2.0]));
        assert_eq!(theirs.trials[9].intermediate_values, [(500, 0.5)]);
        let last = &theirs.trials[outcomes.len()];
        assert_eq!((last.state, last.completed), (TrialState::Running, None));
        Ok(())
    }

    #[test]
    fn a_promoted_trial_has_the_values_of_the_rungs_below() -> Result<(), Error> {
        let scheduled = Halving::new(random(), 2, [0.0001, 0.0002, 1.0])?;
        let scores = [0.5, 0.25, 0.375, 0.125];
        let theirs = told(scheduled, &scores.map(Outcome::score))?;
        let found: Vec<_> =
            theirs.trials.iter().map(|trial| (trial.state, trial.intermediate_values.clone())).collect();
        let pruned = |steps: &[(u32, f64)]| (TrialState::Pruned, steps.to_vec());
        let way = [(1, 0.25), (2, 0.375), (1000, 0.125)];
        assert_eq!(found[..3], [pruned(&[(1, 0.5)]), pruned(&way[..1]), pruned(&way[..2])]);
        assert_eq!(found[3], (TrialState::Complete, way.to_vec()));
        assert_eq!(theirs.trials[3].user_attributes["promoted_from"], 2);
        Ok(())
    }
}
