//! The one-exchange neighbourhood of a row: each neighbour differs in one dimension, and in what hangs on it.

use rand::{Rng, RngExt};

use crate::models::features::{Coded, Features, write_shape};
use crate::random::{gaussian, sample_items};
use crate::space::coding::{Shape, level_count};

/// Draws for each number; integers of fewer other values are gone through.
const DRAWS: usize = 8;
/// Exchanges of a subset's members that are looked at, at most.
const EXCHANGES: usize = 1024;
/// How often a draw outside the bounds is repeated.
const REDRAWS: usize = 100;

/// A change of one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Move {
    pub(super) dimension: usize,
    change: Change,
}

/// What becomes of the dimension's cells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    /// The dimension's only cell becomes this.
    To(f64),
    /// It becomes a number drawn near it.
    Near,
    /// A bit of a mask is turned, or an item goes into or out of a subset.
    Flip(usize),
    /// Of a subset, one item goes and another comes.
    Exchange { out: usize, new: usize },
    /// The items at this place of an order and at the next one change places.
    Swap(f64),
}

/// Lists all moves from a row; without `finite`, only those that draw a number when they are made.
pub(super) fn list_moves(features: &Features, row: &[f64], finite: bool, rng: &mut impl Rng, moves: &mut Vec<Move>) {
    moves.clear();
    for (index, dimension) in features.dimensions().iter().enumerate() {
        let endless = is_endless(&dimension.domain.shape());
        if dimension.has_value(row) && dimension.domain.varies() && (finite || endless) {
            let add = |change| moves.push(Move { dimension: index, change });
            changes(dimension, &row[dimension.at.clone()], rng, add);
        }
    }
}

/// Whether the neighbours of a value are too many to go through.
fn is_endless(shape: &Shape) -> bool {
    match shape {
        Shape::Unit => true,
        Shape::Levels { first, last } => level_count(*first, *last) as f64 > DRAWS as f64 + 1.0,
        _ => false,
    }
}

/// All changes of one dimension, each handed to `add`.
fn changes(dimension: &Coded, cells: &[f64], rng: &mut impl Rng, mut add: impl FnMut(Change)) {
    match dimension.domain.shape() {
        shape if is_endless(&shape) => (0..DRAWS).for_each(|_| add(Change::Near)),
        Shape::Unit => {}
        Shape::Levels { .. } => {
            let count = dimension.level_count();
            let others = (0..count as usize).map(|place| (place as f64 + 0.5) / count);
            others.filter(|other| *other != cells[0]).for_each(|other| add(Change::To(other)));
        }
        Shape::Choices(count) => {
            (0..count).map(|code| code as f64).filter(|code| *code != cells[0]).for_each(|code| add(Change::To(code)));
        }
        Shape::Bits(n) => (0..n).for_each(|item| add(Change::Flip(item))),
        Shape::Items(items) => exchanges(dimension, &cells[..items.n], rng, add),
        Shape::Order(n) => (0..n - 1).for_each(|place| add(Change::Swap(place as f64))),
    }
}

/// Every member against every item outside (some of them, drawn, if they are very many); one more or one fewer where
/// the size is free.
fn exchanges(dimension: &Coded, bits: &[f64], rng: &mut impl Rng, mut add: impl FnMut(Change)) {
    let (inside, outside): (Vec<usize>, Vec<usize>) = dimension.free.iter().partition(|item| bits[**item] == 1.0);
    let all = inside.len() * outside.len();
    let pairs = if all <= EXCHANGES { (0..all).collect() } else { sample_items((0..all).collect(), EXCHANGES, rng) };
    for pair in pairs {
        add(Change::Exchange { out: inside[pair / outside.len()], new: outside[pair % outside.len()] });
    }
    let (sizes, size) = (dimension.domain.sizes(), bits.iter().filter(|bit| **bit == 1.0).count());
    if size < *sizes.end() {
        outside.iter().for_each(|item| add(Change::Flip(*item)));
    }
    if size > *sizes.start() {
        inside.iter().for_each(|item| add(Change::Flip(*item)));
    }
}

/// A number near another one; of integers, the middle of one's place.
fn drawn_near(dimension: &Coded, unit: f64, deviation: f64, rng: &mut impl Rng) -> f64 {
    if dimension.domain.shape() == Shape::Unit {
        return near(unit, deviation, rng);
    }
    let count = dimension.level_count();
    // A deviation of less than a step would mostly give the same integer again.
    let drawn = near(unit, deviation.max(1.0 / count), rng);
    (libm::floor(drawn * count).min(count - 1.0) + 0.5) / count
}

/// A normal number around `unit`, drawn until it lies between 0 and 1.
fn near(unit: f64, deviation: f64, rng: &mut impl Rng) -> f64 {
    let mut draws = (0..REDRAWS).map(|_| unit + deviation * gaussian(rng));
    let drawn = draws.find(|drawn| (0.0..=1.0).contains(drawn));
    drawn.unwrap_or_else(|| rng.random())
}

impl Move {
    /// Makes the change in the cells of its dimension; numbers are drawn with this deviation, in their ranges.
    pub(super) fn apply(&self, dimension: &Coded, row: &mut [f64], deviation: f64, rng: &mut impl Rng) {
        let cells = &mut row[dimension.at.clone()];
        match self.change {
            Change::To(x) => cells[0] = x,
            Change::Near => cells[0] = drawn_near(dimension, cells[0], deviation, rng),
            Change::Flip(item) => cells[item] = 1.0 - cells[item],
            Change::Exchange { out, new } => (cells[out], cells[new]) = (0.0, 1.0),
            Change::Swap(place) => {
                for cell in cells.iter_mut() {
                    *cell = match *cell - place {
                        0.0 => place + 1.0,
                        1.0 => place,
                        _ => *cell,
                    };
                }
            }
        }
        if matches!(dimension.domain.shape(), Shape::Items(_)) {
            write_shape(cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Error, Point, Space, TrialId, random::generator};

    fn neighbours(space: &Space, point: &Point) -> Vec<Point> {
        let features = Features::new(space);
        let mut rng = generator(1, "test", TrialId(0));
        let row = features.encode(point);
        let mut moves = Vec::new();
        list_moves(&features, &row, true, &mut rng, &mut moves);
        let moved = moves.into_iter().map(|change| {
            let mut row = row.clone();
            change.apply(&features.dimensions()[change.dimension], &mut row, 0.05, &mut rng);
            features.decode(&row, Some(point), space, &mut rng)
        });
        moved.collect()
    }

    #[test]
    fn all_neighbours_of_a_finite_value_come_once() -> Result<(), Error> {
        let space = Space::new().subset("s", 7, 2).always([0]).never([6]).permutation("p", 4).mask("m", 3);
        let space = space.int("i", 0..=4).categorical("c", ["a", "b", "c"]).build()?;
        let point = Point::new().with_subset("s", [0, 2]).with_permutation("p", [2, 0, 1, 3]);
        let point = point.with_mask("m", [true, false, true]).with_int("i", 2).with_categorical("c", "b");
        let found = neighbours(&space, &point);
        assert!(found.iter().all(|other| space.contains(other) && *other != point));
        let distinct: BTreeSet<u128> = found.iter().map(|point| point.key().as_u128()).collect();
        // 1 x 4 exchanges, 3 swaps, 3 bits, 4 integers, 2 choices.
        assert_eq!((found.len(), distinct.len()), (16, 16));
        Ok(())
    }

    #[test]
    fn a_subset_of_free_size_grows_and_shrinks() -> Result<(), Error> {
        let space = Space::new().subset_of_sizes("s", 5, 1..=2).build()?;
        let of = |items: &[usize]| neighbours(&space, &Point::new().with_subset("s", items)).len();
        assert_eq!((of(&[1]), of(&[1, 3])), (4 + 4, 6 + 2));
        Ok(())
    }

    #[test]
    fn numbers_move_a_little_and_stay_inside() -> Result<(), Error> {
        let space = Space::new().float("x", 0.0..=1.0).int("i", 0..=1000).build()?;
        let found = neighbours(&space, &Point::new().with_float("x", 0.0).with_int("i", 1000));
        assert!(found.len() > DRAWS && found.iter().all(|point| space.contains(point)));
        for point in found {
            assert!(point.float("x")? < 0.3 && point.int("i")? > 700, "{point:?}");
        }
        Ok(())
    }
}
