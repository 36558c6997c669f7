//! TPE: draws where good points are denser than others.

mod coordinates;
mod group;
mod kernels;
mod parzen;
mod sized;
mod split;

use super::kind::{self, Strategy, boxed, count};
use crate::row::Row;
use rand::Rng;
use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::{Error, Origin, Point, Propose, Space, StrategyState, TrialId};
use coordinates::{Columns, columns, row};
use group::{Contrast, Group, groups};

/// How often candidates are drawn anew because all of them were asked before.
const ROUNDS: usize = 4;

/// The tree-structured Parzen estimator, over dimensions together where they are active together.
///
/// The dimensions that are always active are chosen first, then those that hang on them, all that have the same
/// conditions together. Each such group gets two densities on the points in which it was active: one on the best tenth
/// of them (25 at most), one on the others. Of 24 draws from the first, the one is taken whose ratio of the densities
/// is largest.
///
/// A density is a mixture of one kernel for each point, and a kernel is a product over the dimensions. A float, an
/// integer and an item's place in a permutation have a truncated normal kernel; a categorical and a mask's bit have
/// one on the value seen. A subset's items are bits under the condition that its size is allowed, drawn and weighed by
/// that law exactly.
///
/// Pending points count among the others, and so do those that failed because of what they are. With several
/// objectives, the best are those of the first fronts, the less crowded ones first.
///
/// Fits mixed and conditional spaces, from some thirty trials up to a thousand. The cost of an ask is that of 24
/// densities, each of as many kernels as there are trials and dimensions: `O(24 n d)`.
///
/// After Bergstra et al. 2011, who show that the expected improvement at `x` grows with `l(x) / g(x)`, where `l` is
/// the density of the best, a share `gamma` of all, and `g` that of the others: `EI(x) ~ (gamma + (1 - gamma) g(x) /
/// l(x))^-1`. Also after Watanabe 2023 (arXiv 2304.11127), with the settings of optuna 5.0's `TPESampler`. Different
/// there: dimensions that some points lack are chosen one by one, by the best of all points; with several objectives
/// all dimensions are chosen one by one; there are no subsets.
///
/// ```
/// # use zo_search::{Optimizer, Outcome, Propose, Space, Tpe};
/// let space = Space::new().categorical("kind", ["a", "b"]).log_float("rate", 1e-4..=1.0).when("kind", "b");
/// let mut search = Tpe::new(space, 7);
/// for _ in 0..40 {
///     let trial = search.ask()?;
///     let cost = trial.point.float("rate").map_or(2.0, |rate| (rate.log10() + 2.0).abs());
///     search.tell(trial.id, Outcome::score(cost))?;
/// }
/// let best = search.ledger().best().ok_or("no result")?;
/// assert!((0.003..0.03).contains(&best.trial.point.float("rate")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tpe {
    state: StrategyState,
    settings: Settings,
    /// Of each dimension of the space.
    columns: Vec<Columns>,
    groups: Vec<Group>,
    /// Of the points of all evidence, as far as they were entered.
    rows: Vec<Vec<f64>>,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    /// Random points until there are so many results, at least 1.
    startup: usize,
    /// The best of so many draws is taken, at least 1.
    candidates: usize,
}

impl Tpe {
    /// TPE in a space: random points until there are 10 results, then the best of 24 candidates.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { startup: 10, candidates: 24 };
        let columns = columns(&space);
        let groups = groups(&space, &columns);
        Self { columns, groups, state: StrategyState::new(space, seed), settings, rows: Vec::new() }
    }

    /// With random points until there are so many results, those of the initial points counted in (at least 1).
    #[must_use]
    pub fn with_startup(mut self, results: usize) -> Self {
        self.settings.startup = results.max(1);
        self
    }

    /// With the best of so many candidates (at least 1). More make it greedier.
    #[must_use]
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.settings.candidates = candidates.max(1);
        self
    }

    /// Brings the rows up to the evidence.
    fn enter_rows(&mut self) {
        for entry in self.state.ledger.evidence().skip(self.rows.len()) {
            self.rows.push(row(&self.state.space, &self.columns, &entry.trial.point));
        }
    }

    /// Of the candidates for what is always active, completed with children, the first one that is new; none if all
    /// are known.
    fn best_candidate(&self, rng: &mut impl Rng) -> Option<Point> {
        let (root, children) = self.groups.split_first()?;
        let root = Contrast::new(self, root);
        for _ in 0..ROUNDS {
            for candidate in root.candidates(self.settings.candidates, rng) {
                let point = children.iter().fold(candidate, |point, group| self.with_values(point, group, rng));
                // The densities know nothing of constraints.
                let point = self.state.space.repaired(point);
                if !self.state.ledger.knows(&point) {
                    return Some(point);
                }
            }
        }
        None
    }

    /// With the best candidate for a group, if the point makes it active.
    fn with_values(&self, point: Point, group: &Group, rng: &mut impl Rng) -> Point {
        if !group.is_active(&point) {
            return point;
        }
        let candidates = Contrast::new(self, group).candidates(self.settings.candidates, rng);
        candidates.into_iter().take(1).fold(point, Point::with_all)
    }
}

impl Propose for Tpe {
    const NAME: &'static str = "tpe";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("tpe", id);
        let results = self.state.ledger.evidence().filter(|entry| entry.result().is_some()).count();
        if results >= self.settings.startup {
            self.enter_rows();
            if let Some(point) = self.best_candidate(&mut rng) {
                return Ok((point, "tpe".into()));
            }
        }
        self.state.random_proposal(&mut rng)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = kind::row(
    "tpe",
    "The tree-structured Parzen estimator: points where good ones are denser than others.",
    &[
        count("startup", 1, 10, "Random points until there are so many results."),
        count("candidates", 1, 24, "The best of so many draws is asked."),
    ],
    |setup, own| {
        let search = Tpe::new(setup.space, setup.seed).with_startup(own.count("startup")?);
        boxed(search.with_candidates(own.count("candidates")?), setup.initial)
    },
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BrokenLaw, check_laws};
    use crate::{FailureKind, Optimizer as _, Outcome};

    fn mixed() -> Space {
        Space::new()
            .subset_of_sizes("s", 9, 2..=4)
            .always([3])
            .mask("m", 3)
            .when_outside("s", 2)
            .float("x", -1.0..=2.0)
            .when_at_least("m", 2)
            .int("i", -5..=9)
            .int("wide", i64::MIN..=i64::MAX)
            .categorical("c", ["a", "b", "c"])
            .log_float("r", 1e-3..=1.0)
            .when("c", "b")
            .permutation("p", 4)
            .int("fixed", 3..=3)
            .subset("all", 3, 3)
    }

    #[test]
    fn tpe_keeps_the_laws() -> Result<(), BrokenLaw> {
        for space in
            [mixed(), Space::new().float("x", -1.0..=2.0), Space::new().int("i", 0..=20), Space::new().int("i", 3..=3)]
        {
            check_laws(|| Tpe::new(space.clone(), 5))?;
            check_laws(|| Tpe::new(space.clone(), 5).with_startup(1).with_candidates(3))?;
        }
        Ok(())
    }

    #[test]
    fn pending_points_are_avoided() -> Result<(), Error> {
        let mut search = Tpe::new(Space::new().float("x", 0.0..=1.0), 2);
        for _ in 0..30 {
            let trial = search.ask()?;
            search.tell(trial.id, Outcome::score((trial.point.float("x")? - 0.3).abs()))?;
        }
        let spread = |search: &mut Tpe| {
            let mut xs = (0..12).map(|_| search.ask()?.point.float("x")).collect::<Result<Vec<_>, _>>()?;
            xs.sort_by(f64::total_cmp);
            Ok::<f64, Error>(xs[10] - xs[1])
        };
        let pending = spread(&mut search)?;
        assert!(pending > 0.02, "{pending}");
        Ok(())
    }

    #[test]
    fn it_goes_on_at_random_while_nothing_has_a_result() -> Result<(), Error> {
        let mut search = Tpe::new(mixed(), 2).with_startup(1);
        for _ in 0..5 {
            let trial = search.ask()?;
            assert_eq!(trial.origin.to_string(), "random");
            search.tell(trial.id, Outcome::failed(FailureKind::Invalid, "test"))?;
        }
        let trial = search.ask()?;
        search.tell(trial.id, Outcome::score(1.0))?;
        assert_eq!(search.ask()?.origin.to_string(), "tpe");
        Ok(())
    }
}
