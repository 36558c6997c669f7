//! Successive halving: most points are judged on few instances, and only the best on all.

use serde_json::json;

use crate::schedulers::ladder::Ladder;
use crate::schedulers::wrapped::Wrapped;
use crate::{Error, Optimizer, Outcome, Point, Space, Trial, TrialId};

/// Asynchronous successive halving around any strategy (ASHA: Li et al. 2020, arXiv 1810.05934).
///
/// Every new point of the inner strategy, an initial one too, is first asked at the lowest rung, a small fraction of the instances. As
/// soon as one of the best `1/eta` of a rung has not been promoted, it is asked again at the next rung, the highest such rung first;
/// otherwise a new point is asked. There is no barrier to wait at. The best of a rung above the lowest is always promoted, so that
/// there is a result on all instances after the first `eta` points, and a point that leads the lower rungs does not wait. When the
/// inner strategy has no point left, the others are promoted too, the best first, until all have reached the top.
///
/// The inner strategy is told the outcome of the lowest rung, and then amended by those of higher rungs, each marked with its
/// fidelity: a strategy that does not listen to [`Optimizer::amend`] compares outcomes of the lowest rung alone, and one that does
/// knows which outcomes are comparable.
///
/// Fits whenever an evaluation is a mean over instances and a part of them says something about the whole. With rungs
/// `[0.25, 1.0]` and `eta` 3, a point costs about 0.6 of a full evaluation, and one trial in four is on all instances. An ask costs a
/// sort of the trials of each rung.
#[derive(Debug, Clone)]
pub struct Halving<O> {
    inner: Wrapped<O>,
    eta: usize,
    ladder: Ladder,
}

impl<O: Optimizer> Halving<O> {
    /// Halving with rungs at these fractions of the instances; one in `eta` of a rung is promoted.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless `eta` is at least 2 and the rungs rise and end in 1; [`Error::BadFidelity`].
    pub fn new(inner: O, eta: usize, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        if eta < 2 {
            let problem = "eta must be at least 2: one in eta is promoted";
            return Err(Error::BadSetting { strategy: "halving", problem });
        }
        Ok(Self { inner: Wrapped::new(inner), eta, ladder: Ladder::new("halving", rungs)? })
    }

    /// The strategy inside.
    pub fn inner(&self) -> &O {
        &self.inner.strategy
    }

    /// The candidate to promote.
    fn promotable(&self) -> Option<usize> {
        (0..self.ladder.top()).rev().find_map(|rung| self.promotable_from(rung))
    }

    fn promotable_from(&self, rung: usize) -> Option<usize> {
        let quota = |finished: usize| if rung == 0 { finished / self.eta } else { (finished / self.eta).max(1) };
        best_unpromoted(&self.ladder, rung, quota)
    }
}

/// The candidate to promote when there are no new points.
fn left_behind(ladder: &Ladder) -> Option<usize> {
    (0..ladder.top()).rev().find_map(|rung| best_unpromoted(ladder, rung, |finished| finished))
}

/// The best that is not promoted yet of the first `quota(finished)` candidates of a rung.
fn best_unpromoted(ladder: &Ladder, rung: usize, quota: impl Fn(usize) -> usize) -> Option<usize> {
    let at_rung = (0..ladder.len()).filter_map(|candidate| {
        let entry = ladder.entry(candidate, rung)?;
        entry.outcome.as_ref()?;
        Some((candidate, entry))
    });
    let mut finished: Vec<_> = at_rung.collect();
    let best = quota(finished.len());
    finished.retain(|(_, entry)| entry.result().is_some());
    finished.sort_by(|a, b| a.1.rank(b.1));
    finished.into_iter().take(best).map(|(candidate, _)| candidate).find(|it| ladder.rung(*it) == rung)
}

impl<O: Optimizer> Optimizer for Halving<O> {
    fn ask(&mut self) -> Result<Trial, Error> {
        if let Some(candidate) = self.promotable() {
            return self.ladder.promote(candidate);
        }
        self.inner.ask_at_bottom(&mut self.ladder, left_behind)
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.inner.tell(&mut self.ladder, id, outcome)
    }

    fn space(&self) -> &Space {
        self.inner.strategy.space()
    }

    fn name(&self) -> &str {
        "halving"
    }

    fn settings(&self) -> serde_json::Value {
        let inner = self.inner.settings();
        json!({ "eta": self.eta, "rungs": self.ladder.rungs, "inner": inner })
    }

    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        self.inner.strategy.inject(point, outcome)
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        self.inner.restore_at_bottom(&mut self.ladder, trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evolution, FailureKind, Fidelity, RandomSearch};

    fn space() -> Space {
        Space::new().float("x", 0.0..=1.0)
    }

    #[test]
    fn only_the_best_of_a_rung_climb() -> Result<(), Error> {
        let mut search = Halving::new(RandomSearch::new(space(), 1), 3, [0.1, 0.3, 1.0])?;
        let mut trials = Vec::new();
        for _ in 0..120 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
            trials.push(trial);
        }
        let at = |fraction: f64| -> Vec<f64> {
            trials
                .iter()
                .filter(|t| t.fidelity.fraction() == fraction)
                .filter_map(|t| t.point.float("x").ok())
                .collect()
        };
        let (low, middle, full) = (at(0.1), at(0.3), at(1.0));
        assert!(
            middle.len() >= low.len() / 3 && full.len() >= middle.len() / 3,
            "{} {} {}",
            low.len(),
            middle.len(),
            full.len()
        );
        assert!(full.len() < 25);
        let best = low.iter().copied().fold(1.0, f64::min);
        assert!(full.contains(&best), "the best point of the lowest rung reached the top");
        Ok(())
    }

    #[test]
    fn a_failure_does_not_climb_and_failing_on_top_unseats() -> Result<(), Error> {
        let mut search = Halving::new(Evolution::new(space(), 1), 2, [0.5, 1.0])?;
        let (a, b) = (search.ask()?, search.ask()?);
        search.tell(a.id, Outcome::failed(FailureKind::Crash, "no"))?;
        search.tell(b.id, Outcome::score(f64::NAN))?;
        assert_eq!(search.ask()?.fidelity.fraction(), 0.5);
        let c = search.ask()?;
        search.tell(c.id, Outcome::score(1.0))?;
        let top = search.ask()?;
        assert_eq!((top.point.clone(), top.fidelity), (c.point, Fidelity::FULL));
        search.tell(top.id, Outcome::failed(FailureKind::Timeout, "slow"))?;
        assert_eq!(search.inner().ledger().best(), None);
        Ok(())
    }

    #[test]
    fn a_few_trials_are_enough_for_a_full_result_and_many_give_many() -> Result<(), Error> {
        for (budget, least) in [(5, 1), (20, 2), (100, 8), (300, 24)] {
            let mut search = Halving::new(RandomSearch::new(space(), 2), 3, [0.1, 0.3, 1.0])?;
            let mut full = 0;
            for _ in 0..budget {
                let trial = search.ask()?;
                full += usize::from(trial.fidelity.is_full());
                search.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
            }
            assert!(full >= least, "{full} of {budget}");
        }
        Ok(())
    }

    #[test]
    fn all_points_of_a_finite_space_reach_the_top() -> Result<(), Error> {
        let mut search = Halving::new(RandomSearch::new(Space::new().int("x", 1..=7), 2), 3, [0.2, 0.5, 1.0])?;
        let mut full = Vec::new();
        let end = loop {
            let trial = match search.ask() {
                Ok(trial) => trial,
                Err(error) => break error,
            };
            let x = trial.point.int("x")?;
            if trial.fidelity.is_full() {
                full.push(x);
            }
            search.tell(trial.id, if x == 5 { Outcome::score(f64::NAN) } else { Outcome::score(x as f64) })?;
        };
        assert!(matches!(end, Error::Exhausted { points: 7 }), "{end}");
        full.sort_unstable();
        assert_eq!(full, [1, 2, 3, 4, 6, 7]);
        Ok(())
    }

    #[test]
    fn halving_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
        for space in [Space::new().float("x", 0.0..=1.0).subset("s", 8, 3), Space::new().subset("s", 5, 2)] {
            let fresh = Halving::new(Evolution::new(space, 4), 2, [0.2, 0.5, 1.0])?;
            crate::testing::check_laws(|| fresh.clone())?;
        }
        Ok(())
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for (eta, rungs) in [(1, vec![1.0]), (3, vec![]), (3, vec![0.5]), (3, vec![0.5, 0.5, 1.0]), (3, vec![0.0, 1.0])]
        {
            assert!(Halving::new(RandomSearch::new(space(), 1), eta, rungs).is_err());
        }
    }
}
