//! Hyperband: successive halving that does not have to know how much a few instances say.

use tailor_registry::Parameter;

use super::kind::{ETA, Wrap};
use crate::row::Row;
use serde_json::{Map, Value};

use super::brackets::{Bracket, Brackets};
use super::rung_table::RungTable;
use super::scheduled::{PromotionRule, Scheduled};
use crate::{Error, Fidelity, Optimizer};

/// So many rungs ask for more points than anybody evaluates.
const MOST_RUNGS: usize = 8;

/// Brackets of successive halving around any strategy (Li et al. 2018, arXiv 1603.06560).
///
/// Bracket `s` (from the highest to 0, over and over) begins with `ceil(eta^s (top + 1) / (s + 1))` new points of the
/// inner strategy at `s` rungs below the top, of which one in `eta` reaches each next rung: the first bracket trusts
/// few instances with many points, the last asks few points on all instances. A rung waits for the one below;
/// meanwhile points of the next bracket are asked.
///
/// When the inner strategy has no point left, the bracket is finished with those that there are.
///
/// Fits where [`Halving`](crate::Halving) does, if nobody knows whether the lowest rung says anything of the whole:
/// it costs at most as many times more as there are rungs. Useful from some two rounds of brackets on (44 trials with
/// three rungs and `eta` 3). An ask costs a sort of the trials of each bracket.
///
/// ```
/// # use zo_search::{Hyperband, Optimizer, RandomSearch, Space};
/// let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let mut search = Hyperband::down_to(strategy, 3, 0.1)?; // rungs at 1/9, 1/3 and 1
/// assert_eq!(search.ask()?.fidelity.fraction(), 1.0 / 9.0);
/// # Ok::<(), zo_search::Error>(())
/// ```
pub type Hyperband<O> = Scheduled<O, HyperbandRule>;

/// The rule of [`Hyperband`].
#[derive(Debug, Clone)]
pub struct HyperbandRule {
    /// One in so many reaches the next rung, 2 to 10.
    eta: usize,
    brackets: Brackets,
}

impl<O: Optimizer> Hyperband<O> {
    /// Brackets with rungs at these fractions of the instances; one in `eta` of a rung is promoted.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless `eta` is from 2 to 10, and there are at most 8 rungs, which rise and end in 1;
    /// [`Error::BadFidelity`].
    pub fn new(inner: O, eta: usize, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let rungs = rungs.into();
        check(eta, rungs.len())?;
        let top = rungs.len().saturating_sub(1);
        let brackets = Brackets::new((0..=top).rev().map(|s| bracket(eta, top, s)).collect());
        Self::with_rule(inner, HyperbandRule { eta, brackets }, rungs)
    }

    /// Brackets with rungs at 1, `1/eta`, `1/eta^2` and so on of the instances, down to `least`.
    ///
    /// # Errors
    /// As [`Hyperband::new`].
    pub fn down_to(inner: O, eta: usize, least: f64) -> Result<Self, Error> {
        check(eta, 1)?;
        let least = Fidelity::new(least)?.fraction();
        let mut rungs = vec![1.0];
        // By whole powers: a logarithm would lose the last rung to rounding (ln 243 / ln 3 < 5).
        let mut power = eta;
        while power as f64 * least <= 1.0 && rungs.len() <= MOST_RUNGS {
            rungs.push(1.0 / power as f64);
            power = power.saturating_mul(eta);
        }
        rungs.reverse();
        Self::new(inner, eta, rungs)
    }
}

impl PromotionRule for HyperbandRule {
    fn name(&self) -> &'static str {
        "hyperband"
    }

    fn parameters(&self) -> Map<String, Value> {
        [("eta".to_owned(), self.eta.into())].into_iter().collect()
    }

    fn promotable(&self, table: &RungTable) -> Option<usize> {
        self.brackets.promotable(table, false)
    }

    fn left_behind(&self, table: &RungTable) -> Option<usize> {
        self.brackets.promotable(table, true)
    }

    fn first_rung(&self, table: &RungTable) -> usize {
        self.brackets.first_rung(table)
    }
}

/// Refuses an `eta` outside of 2 to 10, and more than [`MOST_RUNGS`] rungs.
fn check(eta: usize, rungs: usize) -> Result<(), Error> {
    let problem = match (eta, rungs) {
        (..2 | 11.., _) => "eta must be from 2 to 10: one in eta is promoted",
        (_, ..=MOST_RUNGS) => return Ok(()),
        _ => "there may be at most 8 rungs",
    };
    Err(Error::BadSetting { strategy: "hyperband", problem })
}

/// Bracket `s` of those from `top` to 0: how many points it begins with, and how many reach each rung above.
fn bracket(eta: usize, top: usize, s: usize) -> Bracket {
    let power = |exponent: usize| (0..exponent).map(|_| eta).product::<usize>();
    let begin = (power(s) * (top + 1)).div_ceil(s + 1);
    Bracket { first: top - s, sizes: (0..=s).map(|step| begin / power(step)).collect() }
}

/// The row of the table of schedulers.
pub(super) const ROW: Row<Wrap> = Row::new(
    "hyperband",
    "Successive halving in brackets that begin at different rungs.",
    &[Parameter::integer("eta", 2, 10, ETA).with_default_integer(3)],
    |inner, rungs, own| Ok(Box::new(Hyperband::new(inner, own.count("eta")?, rungs)?)),
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Evolution, Outcome, Point, RandomSearch, Space};

    fn space() -> Space {
        Space::new().float("x", 0.0..=1.0)
    }

    #[test]
    fn the_reference_s_budgets_give_its_brackets() -> Result<(), Error> {
        let search = Hyperband::down_to(RandomSearch::new(space(), 1), 3, 0.1)?;
        assert_eq!(search.table.rungs.len(), 3);
        let all: Vec<_> = (0..=2).rev().map(|s| bracket(3, 2, s).sizes).collect();
        assert_eq!(all, [vec![9, 3, 1], vec![5, 1], vec![3]]);
        // 243 is 3^5, and its logarithm is not quite 5 times that of 3.
        let deep = Hyperband::down_to(RandomSearch::new(space(), 1), 3, 1.0 / 243.0)?;
        assert_eq!(deep.table.rungs.len(), 6);
        Ok(())
    }

    #[test]
    fn a_round_of_brackets_asks_what_it_should_where() -> Result<(), Error> {
        let mut search = Hyperband::down_to(RandomSearch::new(space(), 1), 3, 0.1)?;
        let (mut at, mut best_low) = (BTreeMap::new(), f64::INFINITY);
        for number in 0..22 {
            let trial = search.ask()?;
            let x = trial.point.float("x")?;
            *at.entry(format!("{:.3}", trial.fidelity.fraction())).or_insert(0) += 1;
            if number < 9 {
                best_low = best_low.min(x);
            }
            if number == 12 {
                assert_eq!((x, trial.fidelity), (best_low, Fidelity::FULL));
            }
            search.tell(trial.id, Outcome::score(x))?;
        }
        let expected = [("0.111".to_string(), 9), ("0.333".to_string(), 8), ("1.000".to_string(), 5)];
        assert_eq!(at, expected.into());
        Ok(())
    }

    #[test]
    fn hyperband_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
        let mixed = Space::new().subset_of_sizes("s", 8, 1..=3).float("c", 0.0..=1.0).when_outside("s", 2);
        for space in [mixed, Space::new().subset("s", 5, 2)] {
            let fresh = Hyperband::new(Evolution::new(space, 4).with_founders(4), 2, [0.2, 0.5, 1.0])?;
            crate::testing::check_laws(|| fresh.clone())?;
        }
        Ok(())
    }

    #[test]
    fn a_finite_space_ends_with_the_best_of_its_last_bracket_on_top() -> Result<(), Error> {
        let mut search = Hyperband::new(RandomSearch::new(Space::new().int("x", 1..=7), 2), 3, [0.2, 0.5, 1.0])?;
        let (mut full, end) = (
            Vec::new(),
            loop {
                let trial = match search.ask() {
                    Ok(trial) => trial,
                    Err(error) => break error,
                };
                search.tell(trial.id, Outcome::score(trial.point.int("x")? as f64))?;
            },
        );
        assert!(matches!(end, Error::Exhausted { points: 7 }), "{end}");
        let entries = search.ledger().entries();
        full.extend(entries.iter().filter(|entry| entry.trial.fidelity.is_full()).map(|entry| &entry.trial.point));
        assert_eq!(full, [&Point::new().with_int("x", 1)]);
        Ok(())
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for (eta, rungs) in [(1, vec![1.0]), (3, vec![]), (3, vec![0.5]), (3, vec![0.5, 0.5, 1.0]), (3, vec![0.0, 1.0])]
        {
            assert!(Hyperband::new(RandomSearch::new(space(), 1), eta, rungs).is_err());
        }
        assert!(Hyperband::down_to(RandomSearch::new(space(), 1), 2, 1e-30).is_err());
        assert!(Hyperband::down_to(RandomSearch::new(space(), 1), 2, f64::NAN).is_err());
    }
}
