//! The strategy inside a scheduler: what it chooses climbs a ladder, and it is told what came of it.

use serde_json::json;

use crate::schedulers::ladder::Ladder;
use crate::{Error, Fidelity, Optimizer, Outcome, Trial, TrialId};

/// A strategy, and the number that each candidate of a ladder has in it.
#[derive(Debug, Clone)]
pub(crate) struct Wrapped<O> {
    pub(crate) strategy: O,
    numbers: Vec<TrialId>,
}

impl<O: Optimizer> Wrapped<O> {
    pub(crate) fn new(strategy: O) -> Self {
        Self { strategy, numbers: Vec::new() }
    }

    /// A new point, which must become the next candidate.
    pub(crate) fn ask(&mut self) -> Result<Trial, Error> {
        let new = self.strategy.ask()?;
        self.numbers.push(new.id);
        Ok(new)
    }

    /// Asks a new point at the lowest rung; when there is none left, promotes one of those that were `left_behind`.
    pub(crate) fn ask_at_bottom(
        &mut self,
        ladder: &mut Ladder,
        left_behind: impl FnOnce(&Ladder) -> Option<usize>,
    ) -> Result<Trial, Error> {
        match self.ask() {
            Err(Error::Exhausted { points }) => {
                let candidate = left_behind(ladder).ok_or(Error::Exhausted { points })?;
                ladder.promote(candidate)
            }
            asked => {
                let new = asked?;
                Ok(ladder.begin(new.point, 0, new.origin))
            }
        }
    }

    /// Enters an outcome, and tells the strategy of it.
    pub(crate) fn tell(&mut self, ladder: &mut Ladder, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let place = ladder.tell(id, outcome.clone())?;
        ladder.pass_on(place, outcome, &mut self.strategy, self.numbers[place.0])
    }

    /// Takes a recorded trial as the next candidate's point.
    pub(crate) fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        let id = TrialId(self.numbers.len() as u64);
        self.strategy.restore(&Trial { id, fidelity: Fidelity::FULL, ..trial.clone() })?;
        self.numbers.push(id);
        Ok(())
    }

    /// Takes a recorded trial where all points begin at the lowest rung.
    pub(crate) fn restore_at_bottom(&mut self, ladder: &mut Ladder, trial: &Trial) -> Result<(), Error> {
        match ladder.restore_promotion(trial)? {
            None => return Ok(()),
            Some(0) if trial.id == ladder.ledger.next_id() => {}
            Some(_) => return Err(Error::Diverged { id: trial.id }),
        }
        self.restore(trial)?;
        ladder.restore_new(trial, 0)
    }

    /// The strategy's name and settings, for those of the scheduler.
    pub(crate) fn settings(&self) -> serde_json::Value {
        json!({ "name": self.strategy.name(), "settings": self.strategy.settings() })
    }
}
