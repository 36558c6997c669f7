//! Mutation: a few values changed, each as its type is best changed.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::reproduction::Reproduction;
use crate::random::{gaussian, pick};
use crate::space::coding::{Code, Shape, level_count};
use crate::space::{Dimension, Domain};
use crate::{Point, Space, Value};

/// How much more often a subset is changed than another dimension, at the least.
const SUBSET_WEIGHT: f64 = 4.0;
/// How often subsets are changed in comparison with all else, at the least: a choice that much else hangs on must not
/// be lost among many details.
const SUBSET_SHARE: f64 = 0.3;
/// Standard deviations of a float's shift, as fractions of its range.
const SHIFTS: [f64; 2] = [0.1, 0.02];
/// Integers of at most so many values have no near and far.
const FEW: i128 = 4;

/// Which changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Whatever fits the type.
    Any,
    /// Those that leave the sizes of subsets and the counts of masks as they are: one item in and one out.
    Switch,
}

impl Edit {
    /// Whether there is such a change of the value.
    fn fits(self, domain: &Domain, value: &Value) -> bool {
        match (self, domain, value) {
            (Self::Switch, Domain::Mask { .. }, Value::Mask(bits)) => bits.contains(&true) && bits.contains(&false),
            (Self::Switch, Domain::Subset { always, .. }, Value::Subset(items)) => {
                items.len() > always.len() && domain.free_items().iter().any(|item| !items.contains(item))
            }
            _ => domain.varies(),
        }
    }

    /// The changed value.
    fn of(self, domain: &Domain, value: &Value, rng: &mut impl Rng) -> Value {
        match (self, domain, value) {
            (Self::Switch, Domain::Mask { .. }, Value::Mask(bits)) => Value::Mask(move_one(bits.clone(), rng)),
            (Self::Switch, Domain::Subset { .. }, Value::Subset(items)) => {
                let (inside, outside) = domain.movable(items);
                Value::Subset(swap_one(items, &inside, &outside, rng)).canonical()
            }
            _ => domain.mutate(value, rng),
        }
    }
}

impl Reproduction<'_> {
    /// The point with `edits` changes, one after the other.
    pub(crate) fn mutate(&self, parent: &Point, edits: usize, rng: &mut impl Rng) -> Point {
        self.edit(parent, edits, Edit::Any, rng)
    }

    /// The point with `edits` changes of a kind, one after the other.
    pub(crate) fn edit(&self, parent: &Point, edits: usize, edit: Edit, rng: &mut impl Rng) -> Point {
        let mut child = parent.clone();
        for _ in 0..edits {
            let Some((changed, value)) = self.dimension_to_change(&child, edit, rng) else { break };
            let value = edit.of(&changed.domain, value, rng);
            child = self.space.assemble(|dimension, _| {
                if dimension.name == changed.name {
                    return value.clone();
                }
                let known = child.get(&dimension.name).or_else(|| parent.get(&dimension.name));
                known.cloned().unwrap_or_else(|| self.activate(dimension, parent, rng))
            });
        }
        child
    }

    /// One of the active dimensions that can be changed so, by weight, and its value.
    fn dimension_to_change<'p>(
        &self,
        point: &'p Point,
        edit: Edit,
        rng: &mut impl Rng,
    ) -> Option<(&Dimension, &'p Value)> {
        let dimensions = self.space.dimensions().iter();
        let active = dimensions.filter(|dimension| dimension.is_active(point));
        let active = active.filter_map(|dimension| Some((dimension, point.get(&dimension.name)?)));
        let (subsets, others): (Vec<_>, Vec<_>) = active
            .filter(|(dimension, value)| edit.fits(&dimension.domain, value))
            .partition(|(dimension, _)| matches!(dimension.domain.shape(), Shape::Items(_)));
        let (subset_weight, rest) = (SUBSET_WEIGHT * subsets.len() as f64, others.len() as f64);
        let share = (subset_weight / (subset_weight + rest)).max(SUBSET_SHARE);
        let group =
            if others.is_empty() || (!subsets.is_empty() && rng.random::<f64>() < share) { subsets } else { others };
        pick(&group, rng).copied()
    }
}

impl Space {
    /// The point with `edits` values changed, one after the other: as [`Evolution`](crate::Evolution) mutates its
    /// parents, but a dimension that becomes active inherits from this point alone.
    ///
    /// The point must be one of the space. With 0 edits, or where nothing varies, it comes back as it is.
    ///
    /// ```
    /// # use zo_search::{Point, Space, TrialId, generator};
    /// let space = Space::new().subset("remove", 12, 3).float("scale", 0.0..=1.0).build()?;
    /// let parent = Point::new().with_subset("remove", [2, 5, 9]).with_float("scale", 0.5);
    /// let child = space.mutate(&parent, 1, &mut generator(7, "example", TrialId(0)));
    /// assert!(space.contains(&child) && child != parent);
    /// # Ok::<(), zo_search::Error>(())
    /// ```
    #[must_use]
    pub fn mutate(&self, point: &Point, edits: usize, rng: &mut impl Rng) -> Point {
        Reproduction { space: self, population: &[] }.mutate(point, edits, rng)
    }
}

impl Domain {
    /// A value near another one, and different from it where there is more than one.
    ///
    /// | domain | change |
    /// |---|---|
    /// | float, log-float | shifted by a normal step of 10% or 2% of its range, reflected at the bounds |
    /// | integer | a step of one or a few, or one in proportion to the range; any other one if they are at most four |
    /// | categorical | any other choice |
    /// | mask | a bit flipped, or a set one moved |
    /// | subset | a member swapped, half the time for the nearest outside; or one more or fewer if the size is free |
    /// | permutation | two neighbours swapped |
    ///
    /// A value of another type gives way to one drawn evenly.
    #[must_use]
    pub fn mutate(&self, value: &Value, rng: &mut impl Rng) -> Value {
        let Some(code) = self.encode(value) else { return self.sample(rng) };
        self.decode(match (code, self.shape()) {
            (Code::Unit(place), _) => {
                let deviation = SHIFTS[usize::from(rng.random::<bool>())];
                Code::Unit(reflect(place + deviation * gaussian(rng)))
            }
            (Code::Level(level), Shape::Levels { first, last }) => {
                Code::Level(other_level(level, level_count(first, last) - 1, rng))
            }
            (Code::Choice(place), Shape::Choices(count)) => {
                let others: Vec<usize> = (0..count).filter(|other| *other != place).collect();
                Code::Choice(pick(&others, rng).copied().unwrap_or(place))
            }
            (Code::Bits(bits), _) => Code::Bits(flip_or_move(bits, rng)),
            (Code::Items(items), Shape::Items(all)) => Code::Items(self.other_items(&items, &all.sizes, rng)),
            (Code::Order(mut items), _) => {
                if items.len() > 1 {
                    let at = rng.random_range(1..items.len());
                    items.swap(at - 1, at);
                }
                Code::Order(items)
            }
            (code, _) => code,
        })
    }

    /// One member swapped or, where the size is free, one more or one fewer.
    fn other_items(&self, items: &[usize], sizes: &RangeInclusive<usize>, rng: &mut impl Rng) -> Vec<usize> {
        let (inside, outside) = self.movable(items);
        let (more, fewer) = (sizes.contains(&(items.len() + 1)), sizes.contains(&items.len().wrapping_sub(1)));
        match if more || fewer { rng.random_range(0..3) } else { 2 } {
            0 if more && !outside.is_empty() => with_one_more(items, &outside, rng),
            1 if fewer && !inside.is_empty() => with_one_fewer(items, &inside, rng),
            _ if !inside.is_empty() && !outside.is_empty() => swap_one(items, &inside, &outside, rng),
            _ if more => with_one_more(items, &outside, rng),
            _ if fewer => with_one_fewer(items, &inside, rng),
            _ => items.to_vec(),
        }
    }

    /// The members of a subset that may go, and the items that may come.
    fn movable(&self, items: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let free = self.free_items().into_iter();
        free.partition(|item| items.contains(item))
    }
}

/// Folds the number line onto `[0, 1]`, as a ray between two mirrors.
fn reflect(unit: f64) -> f64 {
    let there_and_back = libm::fabs(unit) % 2.0;
    if there_and_back > 1.0 { 2.0 - there_and_back } else { there_and_back }
}

/// Another level of `0..=span`: any one if they are few, otherwise a small step half of the time and one in
/// proportion to the range else.
fn other_level(level: i128, span: i128, rng: &mut impl Rng) -> i128 {
    if span < 1 {
        return level;
    }
    if span < FEW {
        let other = rng.random_range(0..span);
        return if other >= level { other + 1 } else { other };
    }
    let near = 1 + (0..16).take_while(|_| rng.random::<bool>()).count() as i128;
    let far = libm::fabs(gaussian(rng) * SHIFTS[0] * span as f64) as i128;
    let step = if rng.random::<bool>() { near } else { near.max(far) };
    stepped(level, step, rng.random(), span)
}

/// A step from `place` up or down, turned round at the ends of `0..=span`; never back to `place`.
fn stepped(place: i128, step: i128, up: bool, span: i128) -> i128 {
    let step = step.min(span);
    let fits = |up: bool| if up { place + step <= span } else { place >= step };
    match (fits(up), fits(!up)) {
        (true, _) => place + if up { step } else { -step },
        (false, true) => place + if up { -step } else { step },
        (false, false) if place * 2 < span => span,
        (false, false) => 0,
    }
}

/// A bit flipped, or (where there are both) one moved: a candidate more, less, or in the place of another.
fn flip_or_move(mut bits: Vec<bool>, rng: &mut impl Rng) -> Vec<bool> {
    match one_of_both(&bits, rng) {
        (Some(from), Some(to)) if rng.random() => bits.swap(from, to),
        _ if bits.is_empty() => {}
        _ => {
            let at = rng.random_range(0..bits.len());
            bits[at] = !bits[at];
        }
    }
    bits
}

/// A set bit moved to the place of one that is not set.
fn move_one(mut bits: Vec<bool>, rng: &mut impl Rng) -> Vec<bool> {
    if let (Some(from), Some(to)) = one_of_both(&bits, rng) {
        bits.swap(from, to);
    }
    bits
}

/// The places of a bit that is set and of one that is not.
fn one_of_both(bits: &[bool], rng: &mut impl Rng) -> (Option<usize>, Option<usize>) {
    let mut place = |wanted: bool| {
        let places: Vec<usize> = (0..bits.len()).filter(|i| bits[*i] == wanted).collect();
        pick(&places, rng).copied()
    };
    (place(true), place(false))
}

/// One of `outside` added.
fn with_one_more(items: &[usize], outside: &[usize], rng: &mut impl Rng) -> Vec<usize> {
    items.iter().chain(pick(outside, rng)).copied().collect()
}

/// One of `inside` taken out.
fn with_one_fewer(items: &[usize], inside: &[usize], rng: &mut impl Rng) -> Vec<usize> {
    let gone = pick(inside, rng);
    items.iter().copied().filter(|item| Some(item) != gone).collect()
}

/// One of `inside` replaced by one of `outside`, every second time by the nearest.
fn swap_one(items: &[usize], inside: &[usize], outside: &[usize], rng: &mut impl Rng) -> Vec<usize> {
    let (Some(&out), Some(&any)) = (pick(inside, rng), pick(outside, rng)) else { return items.to_vec() };
    let nearest = outside.iter().map(|item| item.abs_diff(out)).min();
    let neighbours: Vec<usize> = outside.iter().copied().filter(|item| Some(item.abs_diff(out)) == nearest).collect();
    let near = pick(&neighbours, rng).copied().unwrap_or(any);
    let new = if rng.random() { near } else { any };
    items.iter().map(|item| if *item == out { new } else { *item }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Entry, Error, TrialId, random::generator};

    /// Values that `draws` mutations of `value` give.
    fn mutated(domain: &Domain, value: &Value, draws: u64) -> Vec<Value> {
        (0..draws).map(|draw| domain.mutate(value, &mut generator(1, "test", TrialId(draw)))).collect()
    }

    #[test]
    fn a_mutated_value_is_another_one_of_the_domain() {
        let domains = [
            Domain::Float { low: -1.0, high: 3.0, log: false },
            Domain::Float { low: 1e-5, high: 1.0, log: true },
            Domain::Int { low: 0, high: 1 },
            Domain::Int { low: -3, high: 7 },
            Domain::Int { low: i64::MIN, high: i64::MAX },
            Domain::Categorical { choices: vec!["a".into(), "b".into(), "c".into()] },
            Domain::Mask { n: 3 },
            Domain::Subset { n: 9, k: 4, least: None, always: vec![2], never: vec![5] },
            Domain::Subset { n: 5, k: 5, least: Some(1), always: vec![2], never: vec![] },
            Domain::Subset { n: 5, k: 5, least: Some(4), always: vec![], never: vec![] },
            Domain::Permutation { n: 4 },
        ];
        for domain in &domains {
            let mut value = domain.sample(&mut generator(2, "test", TrialId(0)));
            for draw in 0..2000 {
                let next = domain.mutate(&value, &mut generator(3, "test", TrialId(draw)));
                assert!(domain.contains(&next) && next.canonical() == next, "{domain}: {next}");
                assert!(next != value, "{domain}: {next}");
                value = next;
            }
        }
    }

    #[test]
    fn a_subset_swaps_one_member_and_prefers_neighbours() {
        let domain = Domain::Subset { n: 30, k: 2, least: None, always: vec![], never: vec![] };
        let mut near = 0;
        for value in mutated(&domain, &Value::Subset(vec![10, 20]), 1000) {
            let Value::Subset(items) = value else { continue };
            let kept = items.iter().filter(|item| [10, 20].contains(*item)).count();
            assert_eq!((kept, items.len()), (1, 2));
            near += usize::from(items.iter().any(|item| [9, 11, 19, 21].contains(item)));
        }
        assert!((500..650).contains(&near), "{near} of 1000 were neighbours");
    }

    #[test]
    fn floats_shift_a_little_or_less() {
        let domain = Domain::Float { low: 0.0, high: 10.0, log: false };
        let shift = |value: &Value| if let Value::Float(x) = value { (x - 5.0).abs() / 10.0 } else { f64::NAN };
        let shifts: Vec<f64> = mutated(&domain, &Value::Float(5.0), 4000).iter().map(shift).collect();
        let within = |bound: f64| shifts.iter().filter(|shift| **shift < bound).count() as f64 / 4000.0;
        // Half of them with a deviation of 0.02, half with 0.1: P(|x| < 0.02) = (0.683 + 0.159) / 2.
        assert!((within(0.02) - 0.421).abs() < 0.03, "{}", within(0.02));
        assert!(within(0.4) > 0.999);
    }

    #[test]
    fn a_mask_flips_one_bit_or_moves_one() {
        let domain = Domain::Mask { n: 4 };
        let all: HashSet<String> =
            mutated(&domain, &Value::Mask(vec![true, true, false, false]), 500).iter().map(Value::to_string).collect();
        let expected = ["0100", "1000", "1110", "1101", "0110", "0101", "1010", "1001"];
        assert_eq!(all, expected.map(str::to_string).into());
    }

    #[test]
    fn switches_keep_the_counts() {
        let subset = Domain::Subset { n: 6, k: 4, least: Some(1), always: vec![0], never: vec![5] };
        let (items, bits) = (Value::Subset(vec![0, 2]), Value::Mask(vec![true, false, true]));
        for draw in 0..100 {
            let mut rng = generator(1, "test", TrialId(draw));
            let switched = Edit::Switch.of(&subset, &items, &mut rng);
            assert!(subset.contains(&switched) && switched != items, "{switched}");
            assert!(matches!(switched, Value::Subset(items) if items.len() == 2 && items[0] == 0));
            let switched = Edit::Switch.of(&Domain::Mask { n: 3 }, &bits, &mut rng);
            assert!(["110", "011"].contains(&switched.to_string().as_str()), "{switched}");
        }
        assert!(!Edit::Switch.fits(&Domain::Mask { n: 2 }, &Value::Mask(vec![true, true])));
        assert!(!Edit::Switch.fits(&subset, &Value::Subset(vec![0])));
        assert!(Edit::Any.fits(&subset, &Value::Subset(vec![0])));
    }

    #[test]
    fn a_dimension_that_wakes_up_inherits_from_the_population_or_its_like() -> Result<(), Error> {
        let mut space = Space::new().subset("remove", 3, 1);
        for layer in 0..3 {
            space = space.int(layer.to_string(), 0..=1_000_000).when_outside("remove", layer);
        }
        let space = space.build()?;
        let parent = Point::new().with_subset("remove", [1]).with_int("0", 5).with_int("2", 5);
        let other = Point::new().with_subset("remove", [0]).with_int("1", 7).with_int("2", 8);
        let trial = crate::Ledger::new().issue(other, crate::Fidelity::FULL, "test");
        let entry = Entry { trial, outcome: None };
        let reproduction = Reproduction { space: &space, population: &[&entry] };
        let dimension = &space.dimensions()[2];
        let values =
            (0..100).map(|id| reproduction.activate(dimension, &parent, &mut generator(0, "test", TrialId(id))));
        let values: Vec<Value> = values.collect();
        let count = |x| values.iter().filter(|value| **value == Value::Int(x)).count();
        assert!(count(7) > 25 && count(5) > 25 && count(5) + count(7) < 95, "{} {}", count(7), count(5));
        Ok(())
    }
}
