//! Random search.

use serde_json::json;

use crate::initial::InitialPoints;
use crate::random::generator;
use crate::{Error, Fidelity, Ledger, Optimizer, Outcome, Point, Space, Trial, TrialId};

/// How often a point is drawn anew because it was asked before, until the space is walked through for one that was not.
const DRAWS: usize = 16;

/// Points drawn evenly, none of them twice: what every other strategy has to beat.
///
/// Fits any space and any number of trials; the cost of an ask is that of drawing a point.
#[derive(Debug, Clone)]
pub struct RandomSearch {
    space: Space,
    seed: u64,
    initial: InitialPoints,
    ledger: Ledger,
}

impl RandomSearch {
    /// Random search over a space.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { space, seed, initial: InitialPoints::default(), ledger: Ledger::new() }
    }

    /// Begins with these points, those that mean the same only once.
    #[must_use]
    pub fn with_initial(mut self, points: Vec<Point>) -> Self {
        self.initial = InitialPoints::new(points);
        self
    }
}

impl Optimizer for RandomSearch {
    fn ask(&mut self) -> Result<Trial, Error> {
        let id = self.ledger.next_id();
        self.space.check()?;
        if let Some(point) = self.initial.get(&self.space, id)? {
            return Ok(self.ledger.issue(point, Fidelity::FULL, "initial"));
        }
        let point = unknown_point(&self.space, &self.ledger, &mut generator(self.seed, "random", id))?;
        Ok(self.ledger.issue(point, Fidelity::FULL, "random"))
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.ledger.tell(id, outcome)
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn name(&self) -> &str {
        "random"
    }

    fn settings(&self) -> serde_json::Value {
        json!({ "seed": self.seed.to_string(), "initial": self.initial.hash() })
    }

    fn amend(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.ledger.amend(id, outcome)
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        restore_into(&mut self.ledger, &self.space, trial)
    }
}

/// Takes a trial from a journal without choosing it again: its point must be one of the space, and asked on all instances.
pub(crate) fn restore_into(ledger: &mut Ledger, space: &Space, trial: &Trial) -> Result<(), Error> {
    if !trial.fidelity.is_full() || !space.contains(&trial.point) {
        return Err(Error::Diverged { id: trial.id });
    }
    ledger.restore(trial)
}

/// A random point that was not asked before.
pub(crate) fn unknown_point(space: &Space, ledger: &Ledger, rng: &mut impl rand::Rng) -> Result<Point, Error> {
    for _ in 0..DRAWS {
        let point = space.sample(rng)?;
        if !ledger.knows(&point) {
            return Ok(point);
        }
    }
    let left = space.first_unknown(|point| ledger.knows(point), rng);
    left.ok_or(Error::Exhausted { points: ledger.distinct() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_finite_space_is_asked_to_its_last_point() -> Result<(), Error> {
        let mut search = RandomSearch::new(Space::new().subset("s", 5, 2), 3);
        let keys: HashSet<_> =
            (0..10).map(|_| search.ask().map(|trial| trial.point.key())).collect::<Result<_, _>>()?;
        assert_eq!(keys.len(), 10);
        assert!(matches!(search.ask(), Err(Error::Exhausted { points: 10 })));
        Ok(())
    }

    #[test]
    fn random_search_keeps_the_laws() -> Result<(), crate::testing::BrokenLaw> {
        for space in [Space::new().float("x", 0.0..=1.0).mask("m", 3), Space::new().int("x", 0..=20)] {
            crate::testing::check_laws(|| RandomSearch::new(space.clone(), 5))?;
        }
        Ok(())
    }

    #[test]
    fn initial_points_come_first_and_only_once() -> Result<(), Error> {
        let point = |x| Point::new().with_int("x", x);
        let mut search =
            RandomSearch::new(Space::new().int("x", 0..=9), 3).with_initial(vec![point(4), point(4), point(7)]);
        assert_eq!(search.ask()?.point, point(4));
        assert_eq!(search.ask()?.point, point(7));
        assert_eq!(search.ask()?.origin, "random");
        let mut wrong = RandomSearch::new(Space::new().int("x", 0..=9), 3).with_initial(vec![point(4), point(10)]);
        assert!(matches!(wrong.ask(), Err(Error::InitialPoint { index: 1, .. })));
        Ok(())
    }
}
