//! Evolution in generations: `mu` parents have `lambda` children.

use tailor_registry::Parameter;

use super::kind::{SECOND_PARENT, Strategy, boxed, count, row, share};
use crate::row::Row;
use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::random::{pick, probability};
use crate::strategies::evolution::Reproduction;
use crate::strategies::generations;
use crate::{Entry, Error, Origin, Point, Propose, Space, StrategyState, TrialId};

/// The (mu, lambda) and (mu + lambda) evolution strategies over any space, with the mutations and the crossover of
/// [`Evolution`](crate::Evolution).
///
/// The first `lambda` points are random, behind the [initial ones](Self::with_initial). Then the `mu` best of a
/// generation, each as likely, have the `lambda` children of the next one. With a comma the parents die, so that a
/// result that was good by luck does not last; with a [plus](Self::plus) the best of all so far are the parents, which
/// is faster where a result hardly changes when it is measured again, and stays with lucky ones where it does: measure
/// their points again now and then, or wrap the strategy in [`Halving`](crate::Halving) or
/// [`Hyperband`](crate::Hyperband), whose higher rungs do just that.
///
/// Fits workers in parallel (up to `lambda`), and noise; from some ten generations on. The cost of an ask is that of
/// going through the `n` results, and of sorting those of one generation (with a plus, all of them).
///
/// Schwefel 1981; Beyer and Schwefel 2002 (Natural Computing 1): with parents `P` and children `C`, the next parents
/// are the `mu` best of `C` (comma), or of `P` and `C` together (plus).
///
/// ```
/// # use zo_search::{MuLambda, Optimizer, Outcome, Propose, Space};
/// let mut search = MuLambda::new(Space::new().float("x", -1.0..=1.0), 7).with_sizes(2, 8).plus();
/// for _ in 0..12 {
///     let generation = (0..8).map(|_| search.ask()).collect::<Result<Vec<_>, _>>()?; // one for each of eight workers
///     for trial in generation {
///         search.tell(trial.id, Outcome::score((trial.point.float("x")? - 0.3).abs()))?;
///     }
/// }
/// let best = search.ledger().best().ok_or("no result")?;
/// assert!((best.trial.point.float("x")? - 0.3).abs() < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MuLambda {
    state: StrategyState,
    settings: Settings,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    /// Parents, at least 1.
    mu: usize,
    /// Children of a generation, at least 1.
    lambda: usize,
    /// Whether parents stay until better ones come.
    plus: bool,
    /// The share of the children that have two parents, 0 to 1.
    crossover: f64,
}

impl MuLambda {
    /// A (5, 20) strategy, with crossover for 3 in 10 children.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { mu: 5, lambda: 20, plus: false, crossover: 0.3 };
        Self { state: StrategyState::new(space, seed), settings }
    }

    /// With so many parents and children (at least 1 each).
    #[must_use]
    pub fn with_sizes(mut self, mu: usize, lambda: usize) -> Self {
        (self.settings.mu, self.settings.lambda) = (mu.max(1), lambda.max(1));
        self
    }

    /// With parents that stay until better ones come.
    #[must_use]
    pub fn plus(mut self) -> Self {
        self.settings.plus = true;
        self
    }

    /// With two parents for this share of the children, 0 to 1.
    #[must_use]
    pub fn with_crossover(mut self, share: f64) -> Self {
        self.settings.crossover = probability(share);
        self
    }

    /// The best first; before the first generation is over, what was injected.
    fn parents(&self) -> Vec<&Entry> {
        let Settings { mu, lambda, plus, .. } = self.settings;
        let entries = self.state.ledger.entries();
        let over = generations::finished(entries, lambda);
        let begin = if plus { None } else { last_with_result(&entries[..over], lambda) };
        let injected = self.state.ledger.injected();
        let (skip, end) = (begin.map_or(0, |begin| injected + begin), injected + over);
        let generation = self.state.ledger.evidence().take(end).skip(skip);
        let mut parents: Vec<&Entry> = generation.filter(|entry| entry.result().is_some()).collect();
        parents.sort_by(|a, b| a.rank(b));
        parents.truncate(mu);
        parents
    }
}

/// Where the last generation with a result begins.
fn last_with_result(entries: &[Entry], lambda: usize) -> Option<usize> {
    let mut generations = entries.chunks_exact(lambda);
    let last = generations.rposition(|generation| generation.iter().any(|entry| entry.result().is_some()));
    last.map(|last| last * lambda)
}

impl Propose for MuLambda {
    const NAME: &'static str = "mu_lambda";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("mu_lambda", id);
        let (parents, ledger) = (self.parents(), &self.state.ledger);
        let reproduction = Reproduction { space: &self.state.space, population: &parents };
        let parent = |rng: &mut _| pick(&parents, rng).copied();
        let child = reproduction.child(self.settings.crossover, parent, |point| ledger.knows(point), &mut rng);
        child.map_or_else(|| self.state.random_proposal(&mut rng), Ok)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "mu_lambda",
    "Evolution in generations: mu parents have lambda children.",
    &[
        count("mu", 1, 5, "Parents."),
        count("lambda", 1, 20, "Children of a generation."),
        Parameter::flag("plus", false, "Whether parents stay until better ones come."),
        share("crossover", 0.3, SECOND_PARENT),
    ],
    |setup, own| {
        let search = MuLambda::new(setup.space, setup.seed).with_sizes(own.count("mu")?, own.count("lambda")?);
        let search = search.with_crossover(own.number("crossover")?);
        boxed(if own.flag("plus")? { search.plus() } else { search }, setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer as _, Outcome};

    #[test]
    fn both_strategies_keep_the_laws() -> Result<(), crate::testing::BrokenLaw> {
        let mixed = Space::new().subset_of_sizes("s", 8, 1..=3).float("c", 0.0..=1.0).when_outside("s", 2);
        for space in [mixed, Space::new().subset("s", 6, 2), Space::new().int("x", 0..=9).permutation("p", 3)] {
            let comma = || MuLambda::new(space.clone(), 3).with_sizes(2, 6);
            crate::testing::check_laws(comma)?;
            crate::testing::check_laws(|| comma().plus())?;
        }
        Ok(())
    }

    /// The first generation is good, the second bad: with a comma its parents are forgotten.
    #[test]
    fn a_comma_forgets_and_a_plus_does_not() -> Result<(), Error> {
        let space = Space::new().float("x", 0.0..=1.0);
        let comma = MuLambda::new(space.clone(), 3).with_sizes(2, 6).with_crossover(0.0);
        for (mut search, young) in [(comma.clone(), true), (comma.plus(), false)] {
            for number in 0..12 {
                let trial = search.ask()?;
                assert_eq!(trial.origin.to_string() == "random", number < 6, "{}", trial.origin);
                search.tell(trial.id, Outcome::score(f64::from(number)))?;
            }
            let parents: Vec<u64> = search.parents().iter().map(|parent| parent.trial.id.0).collect();
            assert_eq!(parents, if young { [6, 7] } else { [0, 1] });
        }
        Ok(())
    }

    #[test]
    fn a_generation_of_failures_leaves_the_parents_before_it() -> Result<(), Error> {
        let mut search = MuLambda::new(Space::new().float("x", 0.0..=1.0), 3).with_sizes(2, 3);
        for number in 0..6 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::score(if number < 3 { 1.0 } else { f64::NAN }))?;
        }
        assert_eq!(search.parents().len(), 2);
        Ok(())
    }
}
