//! TPE: draws where good points are denser than others.

mod coordinates;
mod kernels;
mod parzen;
mod sized;
mod split;

use rand::Rng;
use serde::Serialize;

use crate::books::{Books, proposes};
use crate::{Error, Point, Space, TrialId};
use coordinates::{Columns, columns, row};
use parzen::Parzen;
use split::split;

/// How often candidates are drawn anew because all of them were asked before.
const ROUNDS: usize = 4;

/// The tree-structured Parzen estimator, over all dimensions together.
///
/// Two densities are put on the points so far, one on the best tenth (25 at most), one on the others; of 24 points drawn from the first,
/// the one is asked whose ratio of the densities is largest. A density is a mixture of one kernel for each point: the product of a
/// truncated normal one for each float and integer (also for an item's place in a permutation), and of a kernel on the value seen for
/// each categorical and bit of a mask. A subset's items are bits under the condition that its size is allowed, drawn and weighed by that
/// law exactly. Where a point has no value for a dimension, being inactive there, its kernel is the mixture of those that have
/// one. Pending points count among the others, and so do those that failed because of what they are. With several objectives, the best
/// are those of the first fronts, the less crowded ones first.
///
/// Fits mixed and conditional spaces, from some thirty trials up to a thousand. The cost of an ask is that of 24 densities, each of as
/// many kernels as there are trials and dimensions.
///
/// After Bergstra et al. 2011 and Watanabe 2023 (arXiv 2304.11127), with the settings of optuna 5.0's `TPESampler`; which treats
/// dimensions that some points lack apart from the others, several objectives dimension by dimension, and has no subsets.
#[derive(Debug, Clone)]
pub struct Tpe {
    books: Books,
    settings: Settings,
    columns: Vec<Columns>,
    /// Of the points of all evidence, as far as they were entered.
    rows: Vec<Vec<f64>>,
}

/// What decides, beside space, seed and initial points, what is asked.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    startup: usize,
    candidates: usize,
}

impl Tpe {
    /// TPE in a space: random points until there are 10 results, then the best of 24 candidates.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        let settings = Settings { startup: 10, candidates: 24 };
        Self { columns: columns(&space), books: Books::new(space, seed), settings, rows: Vec::new() }
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

    fn propose(&mut self, id: TrialId) -> Result<(Point, String), Error> {
        let mut rng = self.books.generator("tpe", id);
        let results = self.books.ledger.evidence().filter(|entry| entry.result().is_some()).count();
        if results >= self.settings.startup {
            self.enter_rows();
            if let Some(point) = self.best_candidate(&mut rng) {
                return Ok((point, "tpe".into()));
            }
        }
        Ok((self.books.unknown_point(&mut rng)?, "random".into()))
    }

    fn enter_rows(&mut self) {
        for entry in self.books.ledger.evidence().skip(self.rows.len()) {
            self.rows.push(row(&self.books.space, &self.columns, &entry.trial.point));
        }
    }

    /// The new point with the largest ratio of densities; none if all that were drawn are known.
    fn best_candidate(&self, rng: &mut impl Rng) -> Option<Point> {
        let (space, split) = (&self.books.space, split(&self.books.ledger.evidence().collect::<Vec<_>>()));
        let rows = |places: &[usize]| places.iter().map(|place| self.rows[*place].as_slice()).collect::<Vec<_>>();
        let below = Parzen::new(space, &self.columns, &rows(&split.below), !split.several);
        let above = Parzen::new(space, &self.columns, &rows(&split.above), true);
        for _ in 0..ROUNDS {
            let drawn: Vec<Point> = (0..self.settings.candidates).map(|_| below.draw(rng)).collect();
            let new = drawn.into_iter().filter(|point| !self.books.ledger.knows(point));
            let scored = new.map(|point| {
                let row = row(space, &self.columns, &point);
                (below.ln_density(&row) - above.ln_density(&row), point)
            });
            // Of equals the first.
            let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
            if let Some((_, point)) = best {
                return Some(point);
            }
        }
        None
    }
}

proposes!(Tpe, "tpe");

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
            assert_eq!(trial.origin, "random");
            search.tell(trial.id, Outcome::failed(FailureKind::Invalid, "test"))?;
        }
        let trial = search.ask()?;
        search.tell(trial.id, Outcome::score(1.0))?;
        assert_eq!(search.ask()?.origin, "tpe");
        Ok(())
    }
}
