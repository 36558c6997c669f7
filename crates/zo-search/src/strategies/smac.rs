//! SMAC: a random forest says where an improvement is to be expected.

mod climb;
mod evidence;
mod neighbours;
mod response;
mod surrogate;

use super::kind::{Strategy, boxed, count, row, share};
use crate::optimizer::state_and_settings;
use crate::random::probability;
use crate::row::Row;
use crate::{Error, Origin, Outcome, Point, Propose, Space, StrategyState, TrialId};
pub(crate) use response::quantile;
pub(crate) use surrogate::{Settings, Surrogate};

/// Sequential model-based search: a random forest learns the cost, and points of large expected improvement are asked.
///
/// Begins with a [quasi-random design](crate::SobolSearch) of 10 points for each value that a point has, at most a
/// quarter of the [trials to come](Self::with_trials), less what results were injected, or else with the initial
/// points. Then every forest proposes 8 points: of 10 000 random points the 10 best by expected improvement, and of
/// the trials the 10 of lowest predicted cost, are improved by local search. One point in five is drawn evenly.
/// Failures count as worse than the worst result, pending trials as what the forest says of them; results of unequal
/// fidelities are never compared.
///
/// Fits mixed and conditional spaces with some structure, up to a few hundred dimensions and some thousand trials,
/// where an evaluation costs seconds or more; begins to pay after some fifty trials. An ask costs milliseconds, every
/// eighth one ten to a thousand: the forest takes `O(n log n)` for each tree and feature of `n` trials, the search for
/// its best points mostly a constant.
///
/// After Hutter, Hoos, Leyton-Brown 2011 and Lindauer et al. 2022 (arXiv 2109.09831), with the settings of SMAC3
/// 2.4.1's `HyperparameterOptimizationFacade`. The forest predicts mean `mu` and deviation `s` of the logarithm of the
/// cost; with the lowest predicted logarithm `f` and `v = (f - mu) / s`, the expected improvement is `e^f Phi(v) -
/// e^(s^2/2 + mu) Phi(v - s)` (Hutter et al. 2009). Different from SMAC3: subsets, masks and permutations have
/// neighbours of their own; local search works where dimensions are inactive; drawn points of large expected
/// improvement stand in when all local searches end at known points.
///
/// ```
/// # use zo_search::{Optimizer, Outcome, Propose, Smac, Space};
/// let mut search = Smac::new(Space::new().float("x", 0.0..=1.0).int("n", 1..=8), 7).with_trials(24);
/// for _ in 0..24 {
///     let trial = search.ask()?;
///     let cost = (trial.point.float("x")? - 0.3).abs() + trial.point.int("n")? as f64;
///     search.tell(trial.id, Outcome::score(cost))?;
/// }
/// let found = search.ledger().entries().iter().filter(|entry| entry.trial.origin.proposed() == Some("first design"));
/// assert_eq!(found.count(), 6); // a quarter
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Smac {
    state: StrategyState,
    settings: Settings,
    surrogate: Surrogate,
}

impl Smac {
    /// SMAC in a space, set up for 100 trials.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { state: StrategyState::new(space, seed), settings: Settings::default(), surrogate: Surrogate::default() }
    }

    /// For so many trials: the first design takes at most a quarter of them.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.settings.trials = trials;
        self
    }

    /// With so many trees (at least 1).
    #[must_use]
    pub fn with_trees(mut self, trees: usize) -> Self {
        self.settings.forest.trees = trees.max(1);
        self
    }

    /// With a point drawn evenly in the place of a proposed one for this share of the asks, 0 to 1.
    #[must_use]
    pub fn with_random_share(mut self, share: f64) -> Self {
        self.settings.random_share = probability(share);
        self
    }

    /// With a new forest after so many asks (at least 1).
    #[must_use]
    pub fn with_refit(mut self, asks: usize) -> Self {
        self.settings.refit = asks.max(1);
        self
    }
}

impl Propose for Smac {
    const NAME: &'static str = "smac";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let first = |_, results: &[&Outcome]| results.iter().filter_map(|result| result.objective()).collect();
        self.surrogate.propose(&self.state, &self.settings, id, first)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row(
    "smac",
    "A random forest learns the cost; points of large expected improvement are asked.",
    &[
        count("trees", 1, 10, "Trees of the forest."),
        share("random_share", 0.2, "Probability of a point drawn evenly."),
        count("refit", 1, 8, "Asks of one forest."),
    ],
    |setup, own| {
        let search = Smac::new(setup.space, setup.seed).with_trials(setup.trials).with_trees(own.count("trees")?);
        let search = search.with_random_share(own.number("random_share")?).with_refit(own.count("refit")?);
        boxed(search, setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BrokenLaw, check_laws};
    use crate::{FailureKind, Fidelity, Optimizer as _, Outcome};

    fn layers() -> Space {
        let mut space = Space::new().subset_of_sizes("remove", 6, 0..=3).log_float("rate", 1e-4..=1.0);
        for layer in 0..6 {
            let sources = format!("layer_{layer}.sources");
            space = space.mask(&sources, 2).when_outside("remove", layer);
            space = space.float(format!("layer_{layer}.c"), 0.0..=1.0).when_at_least(&sources, 2);
        }
        space.categorical("kind", ["a", "b"]).permutation("order", 3).when("kind", "b").int("i", -5..=500)
    }

    #[test]
    fn smac_keeps_the_laws() -> Result<(), BrokenLaw> {
        for space in [layers(), Space::new().subset("s", 6, 2), Space::new().float("x", 0.0..=1.0).mask("m", 2)] {
            check_laws(|| Smac::new(space.clone(), 3).with_trials(30))?;
        }
        let start = Point::new().with_int("x", 3);
        check_laws(|| Smac::new(Space::new().int("x", 0..=30), 3).with_initial(vec![start.clone()]))
    }

    #[test]
    fn it_finds_the_last_point_of_a_finite_space() -> Result<(), Error> {
        let mut search = Smac::new(Space::new().subset("s", 6, 3), 1);
        for _ in 0..20 {
            let trial = search.ask()?;
            let score = trial.point.subset("s")?.iter().sum::<usize>() as f64;
            search.tell(trial.id, Outcome::score(score))?;
        }
        assert!(matches!(search.ask(), Err(Error::Exhausted { points: 20 })));
        Ok(())
    }

    #[test]
    fn with_a_late_result_it_goes_on_as_if_restored() -> Result<(), Error> {
        let new = || Smac::new(Space::new().float("x", 0.0..=1.0), 1).with_trials(32);
        let cost = |trial: &crate::Trial| Ok::<_, Error>(Outcome::score((trial.point.float("x")? - 0.3).powi(2)));
        let mut search = new();
        for number in 0..12 {
            let trial = search.ask()?;
            if number != 7 {
                search.tell(trial.id, cost(&trial)?)?;
            }
        }
        let late = search.ledger().entries()[7].trial.clone();
        search.tell(late.id, cost(&late)?)?;
        let mut restored = new();
        for entry in search.ledger().entries() {
            restored.restore(&entry.trial)?;
            restored.tell(entry.trial.id, cost(&entry.trial)?)?;
        }
        for _ in 0..8 {
            assert_eq!(search.ask()?, restored.ask()?);
        }
        Ok(())
    }

    #[test]
    fn what_was_injected_takes_the_place_of_the_first_design() -> Result<(), Error> {
        let space = || Space::new().float("x", 0.0..=1.0);
        let mut search = Smac::new(space(), 1).with_random_share(0.0);
        for step in 0..20 {
            let x = f64::from(step) / 20.0;
            search.inject(Point::new().with_float("x", x), Outcome::score((x - 0.62).powi(2)))?;
        }
        let first = search.ask()?;
        assert!(first.origin.to_string().starts_with("expected improvement"), "{}", first.origin);
        assert!((first.point.float("x")? - 0.62).abs() < 0.1, "{:?}", first.point);
        Ok(())
    }

    #[test]
    fn it_flees_from_where_everything_fails() -> Result<(), Error> {
        let mut search = Smac::new(Space::new().float("x", 0.0..=1.0).float("y", 0.0..=1.0), 2).with_random_share(0.0);
        let mut failures = 0;
        for number in 0..60 {
            let trial = search.ask()?;
            let (x, y) = (trial.point.float("x")?, trial.point.float("y")?);
            if x < 0.5 {
                failures += usize::from(number >= 25);
                search.tell(trial.id, Outcome::failed(FailureKind::Crash, "x is too small"))?;
            } else {
                search.tell(trial.id, Outcome::score(1.0 - x + y))?;
            }
        }
        assert!(failures < 12, "{failures} of 35 proposals failed");
        assert!(search.ledger().best().and_then(crate::Entry::result).is_some_and(|(best, _)| best < 0.15));
        Ok(())
    }

    #[test]
    fn a_few_results_of_a_higher_fidelity_do_not_hide_the_others() -> Result<(), Error> {
        let mut search = Smac::new(Space::new().float("x", 0.0..=1.0), 2).with_trials(40).with_random_share(0.0);
        let quarter = Fidelity::new(0.25)?;
        for _ in 0..26 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::score((trial.point.float("x")? - 0.7).abs()).at(quarter))?;
            if trial.id == TrialId(9) {
                search.amend(trial.id, Outcome::score(100.0))?;
            }
        }
        let near = search.ledger().entries()[10..].iter().filter_map(|entry| entry.trial.point.float("x").ok());
        assert!(near.filter(|x| (x - 0.7).abs() < 0.1).count() >= 8);
        Ok(())
    }
}
