//! Random search.

use super::kind::{Strategy, boxed, row};
use crate::optimizer::state_and_settings;
use crate::row::Row;
use crate::{Error, Origin, Point, Propose, Space, StrategyState, TrialId};

/// Points drawn evenly, none of them twice: what every other strategy has to beat.
///
/// Fits any space and any number of trials. An ask costs the drawing of a point, `O(dimensions)`; where a finite space
/// is nearly exhausted, it is walked through for a point that was not asked, `O(trials)`.
///
/// Why it is no weak opponent: Bergstra and Bengio 2012 (JMLR 13). The best of `n` points is among the best share `q`
/// of all with probability `1 - (1 - q)^n`: 60 points for one of the best twentieth with 95%.
///
/// ```
/// # use zo_search::{Error, Optimizer, RandomSearch, Space};
/// let mut search = RandomSearch::new(Space::new().int("x", 1..=3), 7);
/// let mut asked = (0..3).map(|_| search.ask()?.point.int("x")).collect::<Result<Vec<_>, _>>()?;
/// asked.sort_unstable();
/// assert_eq!(asked, [1, 2, 3]);
/// assert!(matches!(search.ask(), Err(Error::Exhausted { points: 3 })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RandomSearch {
    state: StrategyState,
    settings: (),
}

impl RandomSearch {
    /// Random search over a space.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { state: StrategyState::new(space, seed), settings: () }
    }
}

impl Propose for RandomSearch {
    const NAME: &'static str = "random";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("random", id);
        self.state.random_proposal(&mut rng)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = row("random", "Points drawn evenly, none twice.", &[], |setup, _| {
    boxed(RandomSearch::new(setup.space, setup.seed), setup.initial)
});

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Optimizer as _;

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
        assert_eq!(search.ask()?.origin.to_string(), "random");
        let mut wrong = RandomSearch::new(Space::new().int("x", 0..=9), 3).with_initial(vec![point(4), point(10)]);
        assert!(matches!(wrong.ask(), Err(Error::InitialPoint { index: 1, .. })));
        Ok(())
    }
}
