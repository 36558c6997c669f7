//! The points of a space one after the other, for spaces that are nearly exhausted.

use rand::Rng;

use super::coding::{Code, Shape, level_count};
use super::{Domain, Space};
use crate::{Point, Value};

/// Under constraints, points that are looked at.
const MOST_STEPS: usize = 1 << 16;

impl Space {
    /// The first point, in declaration order, that is not `known`; none when all are.
    ///
    /// Looks at one point more than are known, at most: the points that it walks through differ. Floats are drawn,
    /// not enumerated. Under constraints it walks through points that break them, too, which are put right; then it
    /// ends after [`MOST_STEPS`], and an end does not prove that all points are known.
    pub(crate) fn first_unknown(&self, known: impl Fn(&Point) -> bool, rng: &mut (impl Rng + ?Sized)) -> Option<Point> {
        let mut point = self.assemble_freely(|dimension, _| dimension.domain.first(rng));
        if self.constraints.is_empty() {
            while known(&point) {
                point = self.successor(&point, rng)?;
            }
            return Some(point);
        }
        for _ in 0..MOST_STEPS {
            let whole = self.repaired(point.clone());
            if !known(&whole) {
                return Some(whole);
            }
            point = self.successor(&point, rng)?;
        }
        None
    }

    /// As an odometer: the last active dimension that can go on does, those behind it start again.
    fn successor(&self, point: &Point, rng: &mut (impl Rng + ?Sized)) -> Option<Point> {
        (0..self.dimensions.len()).rev().find_map(|turning| {
            let (before, turning) = (&self.dimensions[..turning], &self.dimensions[turning]);
            let next = turning.domain.successor(point.get(&turning.name)?)?;
            Some(self.assemble_freely(|dimension, _| {
                if dimension.name == turning.name {
                    return next.clone();
                }
                let kept = point.get(&dimension.name).filter(|_| before.iter().any(|d| d.name == dimension.name));
                kept.cloned().unwrap_or_else(|| dimension.domain.first(rng))
            }))
        })
    }
}

impl Domain {
    /// The value that enumeration begins with; a float is drawn.
    pub(super) fn first(&self, rng: &mut (impl Rng + ?Sized)) -> Value {
        self.decode(match self.shape() {
            Shape::Unit => return self.sample(rng),
            Shape::Levels { .. } => Code::Level(0),
            Shape::Choices(_) => Code::Choice(0),
            Shape::Bits(n) => Code::Bits(vec![false; n]),
            Shape::Items(items) => return self.first_of_size(*items.sizes.start()),
            Shape::Order(n) => Code::Order((0..n).collect()),
        })
    }

    /// The value behind another one; none behind the last one, and where values are not in a row.
    pub(super) fn successor(&self, value: &Value) -> Option<Value> {
        let code = match (self.encode(value)?, self.shape()) {
            (Code::Level(level), Shape::Levels { first, last }) => {
                Code::Level(Some(level + 1).filter(|next| *next < level_count(first, last))?)
            }
            (Code::Choice(place), Shape::Choices(count)) => Code::Choice(Some(place + 1).filter(|next| *next < count)?),
            (Code::Bits(bits), _) => {
                let turning = bits.iter().rposition(|bit| !bit)?;
                Code::Bits(bits.iter().enumerate().map(|(i, bit)| i == turning || (*bit && i < turning)).collect())
            }
            (Code::Items(items), Shape::Items(all)) => {
                let free = self.free_items();
                let chosen: Vec<usize> = (0..free.len()).filter(|i| items.contains(&free[*i])).collect();
                let Some(next) = next_combination(chosen, free.len()) else {
                    return all.sizes.contains(&(items.len() + 1)).then(|| self.first_of_size(items.len() + 1));
                };
                Code::Items(next.into_iter().map(|i| free[i]).chain(all.always.iter().copied()).collect())
            }
            (Code::Order(items), _) => Code::Order(next_permutation(items)?),
            _ => return None,
        };
        Some(self.decode(code))
    }
}

impl Domain {
    /// The subset of the first free items, and of those that are always in it.
    fn first_of_size(&self, size: usize) -> Value {
        let Self::Subset { always, .. } = self else { return Value::Subset(Vec::new()) };
        let free = self.free_items().into_iter().take(size - always.len());
        Value::Subset(always.iter().copied().chain(free).collect()).canonical()
    }
}

/// The combination after `chosen` (rising places below `n`) in lexicographic order.
fn next_combination(mut chosen: Vec<usize>, n: usize) -> Option<Vec<usize>> {
    let k = chosen.len();
    let turning = (0..k).rfind(|i| chosen[*i] < n - k + i)?;
    chosen[turning] += 1;
    for i in turning + 1..k {
        chosen[i] = chosen[i - 1] + 1;
    }
    Some(chosen)
}

/// The permutation after `items` in lexicographic order.
fn next_permutation(mut items: Vec<usize>) -> Option<Vec<usize>> {
    let turning = (1..items.len()).rfind(|i| items[i - 1] < items[*i])? - 1;
    let larger = (turning + 1..items.len()).rfind(|i| items[*i] > items[turning])?;
    items.swap(turning, larger);
    items[turning + 1..].reverse();
    Some(items)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Error, TrialId, random::generator};

    fn count(space: &Space) -> usize {
        let mut rng = generator(0, "test", TrialId(0));
        let mut known = HashSet::new();
        while let Some(point) = space.first_unknown(|point| known.contains(&point.key()), &mut rng) {
            assert!(space.contains(&point), "{point:?}");
            known.insert(point.key());
        }
        known.len()
    }

    #[test]
    fn every_point_is_found_once() -> Result<(), Error> {
        assert_eq!(count(&Space::new().subset("s", 6, 3).build()?), 20);
        assert_eq!(count(&Space::new().subset("s", 6, 3).always([5]).never([0]).build()?), 6);
        assert_eq!(count(&Space::new().permutation("p", 4).int("i", -1..=1).build()?), 72);
        assert_eq!(
            count(&Space::new().mask("m", 3).categorical("c", ["a", "b"]).when_at_least("m", 2).build()?),
            4 + 4 * 2
        );
        let layers = Space::new().subset("remove", 2, 1).mask("0", 2).when_outside("remove", 0).int("1", 1..=3);
        assert_eq!(count(&layers.when_outside("remove", 1).build()?), 4 + 3);
        assert_eq!(count(&Space::new().subset_of_sizes("s", 5, 0..=2).build()?), 1 + 5 + 10);
        assert_eq!(count(&Space::new().subset_of_sizes("s", 5, 1..=5).always([4]).build()?), 16);
        assert_eq!(count(&Space::new()), 1);
        Ok(())
    }
}
