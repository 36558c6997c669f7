//! Quasi-random search: points spread more evenly than chance spreads them.

use super::kind::{Strategy, boxed, row};
use crate::row::Row;
use rand::{Rng, RngExt};
use serde::Serialize;

use crate::optimizer::state_and_settings;
use crate::space::Domain;
use crate::space::coding::{Code, Shape, level_count};
use crate::space::order::falling;
use crate::{Error, Origin, Point, Propose, Space, StrategyState, TrialId, Value};

/// Coordinates that the sequence has.
const COORDINATES: u32 = sobol_burley::NUM_DIMENSIONS;
/// Points that the sequence has.
const POINTS: u64 = 1 << 16;

/// Points of a Sobol sequence, Owen-scrambled by the seed, none of them twice.
///
/// A float, an integer and a categorical take one coordinate each, which is cut into parts of one size; a mask takes
/// one for each bit, a subset one for each item that is not frozen (those with the largest belong to it) and one for a
/// free size, a permutation one for each item (whose order it is). Inactive dimensions keep their coordinates to
/// themselves, so that no dimension's spread depends on another's value. The sequence has 256 coordinates and 65 536
/// points; what lies beyond is drawn, as in [`RandomSearch`](crate::RandomSearch).
///
/// Fits any space, best one of up to some twenty floats; as a first design, or as a baseline stronger than random
/// search. Any number of trials, best a power of two: of the first `2^m` points one lies in each of the `2^m` parts of
/// every coordinate. The cost of an ask is that of drawing a point, `O(coordinates)`.
///
/// After Sobol 1967; Owen 1995 and Burley 2020 (jcgt.org/published/0009/04/01) for the scrambling. A mean over `n`
/// points in `d` coordinates is off by `O((log n)^d / n)`, one over random points by `O(n^-1/2)`.
///
/// ```
/// # use zo_search::{Error, Optimizer, SobolSearch, Space};
/// let mut search = SobolSearch::new(Space::new().float("x", 0.0..=4.0), 7);
/// let mut quarters = (0..4).map(|_| Ok(search.ask()?.point.float("x")? as u8)).collect::<Result<Vec<_>, Error>>()?;
/// quarters.sort_unstable();
/// assert_eq!(quarters, [0, 1, 2, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SobolSearch {
    state: StrategyState,
    settings: Settings,
}

#[derive(Debug, Clone, Serialize)]
struct Settings {}

impl SobolSearch {
    /// Quasi-random search over a space.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { state: StrategyState::new(space, seed), settings: Settings {} }
    }
}

impl Propose for SobolSearch {
    const NAME: &'static str = "sobol";
    state_and_settings!();

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut rng = self.state.generator("sobol", id);
        let point = sobol_point(&self.state.space, id.0, self.state.seed, &mut rng);
        if !self.state.ledger.knows(&point) {
            return Ok((point, "sobol".into()));
        }
        self.state.random_proposal(&mut rng)
    }
}

/// Point `index` of the sequence in a space that was checked; `rng` gives the coordinates that the sequence has not.
pub(crate) fn sobol_point(space: &Space, index: u64, seed: u64, rng: &mut impl Rng) -> Point {
    let mut firsts = space.dimensions().iter().scan(0, |next, dimension| {
        let first = *next;
        *next += coordinates(&dimension.domain);
        Some((dimension.name.as_str(), first))
    });
    let key = blake3::hash(&seed.to_le_bytes());
    let seed = u32::from_le_bytes([key.as_bytes()[0], key.as_bytes()[1], key.as_bytes()[2], key.as_bytes()[3]]);
    space.assemble(|dimension, _| {
        // The dimensions come in the order of their declaration, some of them left out.
        let first = firsts.find(|(name, _)| *name == dimension.name).map_or(0, |(_, first)| first);
        let coordinates = (first..first + coordinates(&dimension.domain)).map(|coordinate| {
            match (u32::try_from(coordinate), u32::try_from(index)) {
                (Ok(coordinate), Ok(place)) if coordinate < COORDINATES && index < POINTS => {
                    f64::from(sobol_burley::sample(place, coordinate, seed))
                }
                _ => rng.random::<f64>(),
            }
        });
        dimension.domain.at_units(&coordinates.collect::<Vec<_>>())
    })
}

/// How many coordinates a value takes.
fn coordinates(domain: &Domain) -> usize {
    match domain.shape() {
        Shape::Unit | Shape::Levels { .. } | Shape::Choices(_) => 1,
        Shape::Bits(n) | Shape::Order(n) => n,
        Shape::Items(_) => domain.free_items().len() + 1,
    }
}

impl Domain {
    /// The value at these coordinates, each of them from 0 up to and without 1; evenly spread if they are.
    fn at_units(&self, units: &[f64]) -> Value {
        let unit = units.first().copied().unwrap_or(0.0);
        self.decode(match self.shape() {
            Shape::Unit => Code::Unit(unit),
            Shape::Levels { first, last } => {
                let count = level_count(first, last);
                Code::Level(((unit * count as f64) as i128).min(count - 1))
            }
            Shape::Choices(count) => Code::Choice(((unit * count as f64) as usize).min(count - 1)),
            Shape::Bits(_) => Code::Bits(units.iter().map(|unit| *unit >= 0.5).collect()),
            Shape::Order(_) => Code::Order(falling(units)),
            Shape::Items(items) => {
                let (least, most) = (*items.sizes.start(), *items.sizes.end());
                let (size, places) = units.split_last().unwrap_or((&0.0, &[]));
                let size = least + ((size * (most - least + 1) as f64) as usize).min(most - least);
                let free = self.free_items();
                let chosen = falling(places).into_iter().take(size - items.always.len()).map(|place| free[place]);
                Code::Items(items.always.iter().copied().chain(chosen).collect())
            }
        })
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> =
    row("sobol", "A scrambled Sobol sequence: points spread more evenly than by chance.", &[], |setup, _| {
        boxed(SobolSearch::new(setup.space, setup.seed), setup.initial)
    });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Optimizer as _;
    use crate::testing::{BrokenLaw, check_laws};

    #[test]
    fn sobol_search_keeps_the_laws() -> Result<(), BrokenLaw> {
        let layers = Space::new().subset_of_sizes("s", 9, 2..=4).always([3]).mask("m", 3).when_outside("s", 2);
        let mixed = Space::new().float("x", -1.0..=2.0).permutation("p", 4).categorical("c", ["a", "b", "c"]);
        let mixed = mixed.log_float("r", 1e-4..=1.0).when("c", "b").int("i", i64::MIN..=i64::MAX);
        for space in [layers, mixed, Space::new().int("x", 0..=20), Space::new().mask("wide", 300)] {
            check_laws(|| SobolSearch::new(space.clone(), 5))?;
        }
        Ok(())
    }

    #[test]
    fn each_part_of_a_dimension_gets_one_point_of_so_many() -> Result<(), Error> {
        let mut search =
            SobolSearch::new(Space::new().float("x", 0.0..=16.0).int("i", 0..=15).float("y", 0.0..=1.0), 4);
        let (mut xs, mut is) = ([0; 16], [0; 16]);
        for _ in 0..16 {
            let trial = search.ask()?;
            xs[trial.point.float("x")? as usize] += 1;
            is[trial.point.int("i")? as usize] += 1;
        }
        assert_eq!((xs, is), ([1; 16], [1; 16]));
        Ok(())
    }

    #[test]
    fn subsets_and_permutations_are_all_as_likely() -> Result<(), Error> {
        let space = Space::new().subset("s", 6, 2).permutation("p", 3).float("x", 0.0..=1.0);
        let mut search = SobolSearch::new(space, 1);
        let (mut members, mut firsts) = ([0; 6], [0; 3]);
        for _ in 0..600 {
            let point = search.ask()?.point;
            point.subset("s")?.iter().for_each(|item| members[*item] += 1);
            firsts[point.permutation("p")?[0]] += 1;
        }
        assert!(members.iter().all(|count| (185..215).contains(count)), "{members:?}");
        assert!(firsts.iter().all(|count| (185..215).contains(count)), "{firsts:?}");
        Ok(())
    }
}
