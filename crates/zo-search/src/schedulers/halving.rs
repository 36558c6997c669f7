//! Successive halving: most points are judged on few instances, and only the best on all.

use tailor_registry::Parameter;

use super::kind::{ETA, Wrap};
use crate::row::Row;
use serde_json::{Map, Value};

use super::rung_table::RungTable;
use super::scheduled::{PromotionRule, Scheduled};
use crate::{Error, Optimizer};

/// Asynchronous successive halving around any strategy (ASHA: Li et al. 2020, arXiv 1810.05934).
///
/// Every new point of the inner strategy, an initial one too, is first asked at the lowest rung, a small fraction of
/// the instances. As soon as one of the best `1/eta` of a rung has not been promoted, it is asked again at the next
/// rung, the highest such rung first; otherwise a new point is asked. There is no barrier to wait at. The best of a
/// rung above the lowest is always promoted, so that there is a result on all instances after the first `eta` points,
/// and a point that leads the lower rungs does not wait. When the inner strategy has no point left, the others are
/// promoted too, the best first, until all have reached the top.
///
/// Fits whenever an evaluation is a mean over instances and a part of them says something about the whole. With rungs
/// `[0.25, 1.0]` and `eta` 3, a point costs about 0.6 of a full evaluation, and one trial in four is on all instances.
/// An ask costs a sort of the trials of each rung, `O(n log n)`. Useful from some twenty trials on: with three rungs,
/// at 0.1, 0.3 and 1, and `eta` 3, at least 2 of 20 trials are on all instances, and at least 8 of 100.
///
/// ```
/// # use zo_search::{Halving, Optimizer, Outcome, RandomSearch, Space};
/// let mut search = Halving::new(RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7), 3, [0.25, 1.0])?;
/// for _ in 0..3 {
///     let trial = search.ask()?;
///     assert_eq!(trial.fidelity.fraction(), 0.25);
///     search.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
/// }
/// assert!(search.ask()?.fidelity.is_full(), "the best of the three");
/// # Ok::<(), zo_search::Error>(())
/// ```
pub type Halving<O> = Scheduled<O, HalvingRule>;

/// The rule of [`Halving`].
#[derive(Debug, Clone)]
pub struct HalvingRule {
    /// One in so many is promoted, at least 2.
    eta: usize,
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
        Self::with_rule(inner, HalvingRule { eta }, rungs)
    }
}

impl PromotionRule for HalvingRule {
    fn name(&self) -> &'static str {
        "halving"
    }

    fn parameters(&self) -> Map<String, Value> {
        [("eta".to_owned(), self.eta.into())].into_iter().collect()
    }

    fn promotable(&self, table: &RungTable) -> Option<usize> {
        (0..table.top()).rev().find_map(|rung| {
            let quota = |finished: usize| if rung == 0 { finished / self.eta } else { (finished / self.eta).max(1) };
            best_unpromoted(table, rung, quota)
        })
    }

    fn left_behind(&self, table: &RungTable) -> Option<usize> {
        (0..table.top()).rev().find_map(|rung| best_unpromoted(table, rung, |finished| finished))
    }
}

/// The best that is not promoted yet of the first `quota(finished)` candidates of a rung.
fn best_unpromoted(table: &RungTable, rung: usize, quota: impl Fn(usize) -> usize) -> Option<usize> {
    let at_rung = (0..table.len()).filter_map(|candidate| {
        let entry = table.entry(candidate, rung)?;
        entry.outcome.as_ref()?;
        Some((candidate, entry))
    });
    let mut finished: Vec<_> = at_rung.collect();
    let best = quota(finished.len());
    finished.retain(|(_, entry)| entry.result().is_some());
    finished.sort_by(|a, b| a.1.rank(b.1));
    finished.into_iter().take(best).map(|(candidate, _)| candidate).find(|it| table.rung(*it) == rung)
}

/// The row of the table of schedulers.
pub(super) const ROW: Row<Wrap> = Row::new(
    "halving",
    "Asynchronous successive halving: the best of each rung go on.",
    &[Parameter::integer("eta", 2, i64::MAX, ETA).with_default_integer(3)],
    |inner, rungs, own| Ok(Box::new(Halving::new(inner, own.count("eta")?, rungs)?)),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evolution, FailureKind, Fidelity, Outcome, RandomSearch, Space};

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
        assert_eq!(crate::Propose::ledger(search.inner()).best(), None);
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
