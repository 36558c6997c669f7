//! A study that begins with what another one found out.

use std::collections::HashSet;

use super::history::History;
use super::injected::Injected;
use super::line::Line;
use super::{Study, TrialId};
use crate::{Error, FailureKind, Outcome, Point};

/// What became of another study's trials in [`Study::warm_start`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmStart {
    /// So many are known to this study now.
    pub injected: usize,
    /// The points of so many are none of this study's space.
    pub outside: usize,
    /// So many say nothing of their points: they are pending, were given up, or failed for reasons of the machine.
    pub unfinished: usize,
}

impl Study {
    /// Begins with what another study found out ([`Study::read`] gives its history): its finished trials, and what it
    /// was injected with itself, become known to the strategy, at the fidelity that they had. They are written into
    /// this study's file, so that it needs no other to be resumed, and count neither as trials nor for the incumbent.
    ///
    /// What is known already is not entered twice: a program that always opens its study and warm-starts it may be
    /// run again.
    ///
    /// # Errors
    /// [`Error::AlreadyBegun`] when there is something new and trials were asked before; [`Error::StudyBroken`],
    /// [`Error::Io`]; and what the optimiser says.
    pub fn warm_start(&mut self, other: &History) -> Result<WarmStart, Error> {
        self.begin_with(findings(other))
    }

    /// As [`Study::warm_start`], with outcomes that another program found out: the number that each had there, its
    /// point and its outcome, with its fidelity. `from` names where they come from.
    ///
    /// # Errors
    /// As [`Study::warm_start`].
    pub fn warm_start_from<'a>(
        &mut self,
        from: &'a str,
        outcomes: impl IntoIterator<Item = (TrialId, &'a Point, Outcome)>,
    ) -> Result<WarmStart, Error> {
        let told = |(id, point, outcome): (_, _, Outcome)| {
            Some(outcome).filter(says_something).map(|outcome| (from, id, point, outcome))
        };
        self.begin_with(outcomes.into_iter().map(told))
    }

    fn begin_with<'a>(&mut self, findings: impl Iterator<Item = Option<Finding<'a>>>) -> Result<WarmStart, Error> {
        let mut report = WarmStart::default();
        let mut known: HashSet<String> = self.history.injected().iter().map(Injected::text).collect();
        let mut new = Vec::new();
        for finding in findings {
            let Some((from, id, point, outcome)) = finding else {
                report.unfinished += 1;
                continue;
            };
            let Ok(point) = self.space().canonical(point) else {
                report.outside += 1;
                continue;
            };
            report.injected += 1;
            let injected = Injected { from: from.to_string(), id, point, outcome };
            if known.insert(injected.text()) {
                new.push(injected);
            }
        }
        self.inject(new)?;
        Ok(report)
    }

    /// Hands what is new to the strategy, writes it down, and enters it.
    fn inject(&mut self, new: Vec<Injected>) -> Result<(), Error> {
        if new.is_empty() {
            return Ok(());
        }
        if !self.trials().is_empty() {
            return Err(Error::AlreadyBegun { trials: self.trials().len() });
        }
        self.log.unless_broken()?;
        for known in &new {
            self.optimizer.inject(known.point.clone(), known.outcome.clone())?;
        }
        let now = (self.clock)();
        let places = self.history.injected().len()..;
        let lines: Vec<Line> = places.zip(&new).map(|(place, known)| Line::inject(place, known, now)).collect();
        self.log.append(&lines, true)?;
        new.into_iter().for_each(|known| self.history.inject(known));
        Ok(())
    }
}

/// A trial of another study, and what came out of it.
type Finding<'a> = (&'a str, TrialId, &'a Point, Outcome);

/// What a study was injected with, and its trials; none for those that say nothing of their points.
fn findings(other: &History) -> impl Iterator<Item = Option<Finding<'_>>> {
    let injected =
        other.injected().iter().map(|known| Some((known.from.as_str(), known.id, &known.point, known.outcome.clone())));
    let told = other.trials().iter().map(|record| {
        let outcome = record.outcome.clone().filter(says_something)?;
        let fidelity = outcome.fidelity.unwrap_or(record.trial.fidelity);
        Some((other.header().name(), record.trial.id, &record.trial.point, outcome.at(fidelity)))
    });
    injected.chain(told)
}

/// Not if it failed for a reason that may be the machine's, or was given up.
fn says_something(outcome: &Outcome) -> bool {
    let of_point = |kind| matches!(kind, FailureKind::Invalid | FailureKind::NotANumber);
    outcome.failure.as_ref().is_none_or(|failure| of_point(failure.kind))
}
