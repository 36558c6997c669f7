//! What must hold between the values of several dimensions.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Dimension, Domain, Space};
use crate::random::{generator, pick, shuffle};
use crate::{Point, TrialId, Value};

/// What must hold between the values of several dimensions, all of which are active in every point.
///
/// A point that breaks one is no point of the space. Whatever draws, changes or mixes points puts them right: the same
/// broken point becomes the same point each time, by changes at dimensions that are drawn from all that could change.
///
/// ```
/// # use zo_search::{Constraint, Point};
/// let deep = Constraint::AtMost { dimensions: vec!["a".into(), "b".into()], costs: vec![0, 1], most: 1 };
/// assert_eq!(deep.to_string(), "the costs of `a`, `b` add up to at most 1");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// No two of these integers or categories, which have one domain, are equal.
    Distinct {
        /// The dimensions.
        dimensions: Vec<String>,
    },
    /// Each choice of these categories, which have as many choices, has a cost; the sum of the costs is limited.
    AtMost {
        /// The dimensions.
        dimensions: Vec<String>,
        /// The cost of each choice.
        costs: Vec<usize>,
        /// The largest sum.
        most: usize,
    },
}

impl Constraint {
    /// The dimensions that it is about.
    #[must_use]
    pub fn dimensions(&self) -> &[String] {
        match self {
            Self::Distinct { dimensions } | Self::AtMost { dimensions, .. } => dimensions,
        }
    }

    /// What is wrong with the declaration, if anything.
    pub(super) fn problem(&self, space: &Space) -> Option<&'static str> {
        let named = |name: &String| space.dimensions.iter().find(|dimension| dimension.name == *name);
        let dimensions: Vec<&Dimension> = self.dimensions().iter().filter_map(named).collect();
        let Some(first) = dimensions.first().filter(|_| dimensions.len() == self.dimensions().len()) else {
            return Some("it is about dimensions that are not declared");
        };
        if dimensions.iter().any(|dimension| !dimension.when.is_empty()) {
            return Some("one of its dimensions is not always active");
        }
        match self {
            Self::Distinct { .. } if dimensions.iter().any(|dimension| dimension.domain != first.domain) => {
                Some("its dimensions have different domains")
            }
            Self::Distinct { .. } => match level_count(&first.domain) {
                Some(values) if values >= dimensions.len() => None,
                Some(_) => Some("there are fewer values than dimensions"),
                None => Some("its dimensions are neither integers nor categories"),
            },
            Self::AtMost { costs, most, .. } => {
                let has_costs = |dimension: &&Dimension| match &dimension.domain {
                    Domain::Categorical { choices } => choices.len() == costs.len(),
                    _ => false,
                };
                if !dimensions.iter().all(has_costs) {
                    return Some("its dimensions are not categories of as many choices as there are costs");
                }
                let least = costs.iter().min().map_or(0, |cheapest| cheapest * dimensions.len());
                (least > *most).then_some("no point meets it")
            }
        }
    }

    /// Whether it holds in a point, all of whose values are of their domains.
    #[must_use]
    pub(super) fn holds(&self, point: &Point, space: &Space) -> bool {
        match self {
            Self::Distinct { dimensions } => {
                let values: Vec<_> = dimensions.iter().filter_map(|name| point.get(name)).collect();
                (1..values.len()).all(|i| !values[..i].contains(&values[i]))
            }
            Self::AtMost { dimensions, costs, most } => {
                let cost = |name: &String| cost_of(name, point, costs, space);
                dimensions.iter().map(cost).sum::<usize>() <= *most
            }
        }
    }

    /// The point with values of these dimensions changed until it holds.
    fn repair(&self, mut point: Point, space: &Space, rng: &mut impl Rng) -> Point {
        match self {
            Self::Distinct { dimensions } => {
                let mut taken: Vec<Value> = Vec::new();
                for name in dimensions {
                    let Some(domain) = space.domain(name) else { continue };
                    let Some(value) = point.get(name).cloned() else { continue };
                    let value = if taken.contains(&value) { another(domain, &taken, rng) } else { value };
                    point = point.with(name.clone(), value.clone());
                    taken.push(value);
                }
            }
            Self::AtMost { dimensions, costs, most } => {
                let mut sum: usize = dimensions.iter().map(|name| cost_of(name, &point, costs, space)).sum();
                let cheapest = costs.iter().min().copied().unwrap_or(0);
                let cheap: Vec<usize> = (0..costs.len()).filter(|choice| costs[*choice] == cheapest).collect();
                let mut order: Vec<&String> = dimensions.iter().collect();
                shuffle(&mut order, rng);
                for name in order {
                    if sum <= *most {
                        break;
                    }
                    let cost = cost_of(name, &point, costs, space);
                    let Some(Domain::Categorical { choices }) = space.domain(name) else { continue };
                    let choice = pick(&cheap, rng).and_then(|choice| choices.get(*choice));
                    if let Some(choice) = choice.filter(|_| cost > cheapest) {
                        point = point.with_categorical(name.clone(), choice.clone());
                        sum -= cost - cheapest;
                    }
                }
            }
        }
        point
    }
}

/// The cost of a dimension's value.
fn cost_of(name: &str, point: &Point, costs: &[usize], space: &Space) -> usize {
    match (space.domain(name), point.get(name)) {
        (Some(Domain::Categorical { choices }), Some(Value::Categorical(choice))) => {
            choices.iter().position(|other| other == choice).and_then(|place| costs.get(place)).copied().unwrap_or(0)
        }
        _ => 0,
    }
}

/// How many values a domain of integers or categories has.
fn level_count(domain: &Domain) -> Option<usize> {
    match domain {
        Domain::Int { low, high } => usize::try_from(i128::from(*high) - i128::from(*low) + 1).ok(),
        Domain::Categorical { choices } => Some(choices.len()),
        _ => None,
    }
}

/// A value that is not taken.
fn another(domain: &Domain, taken: &[Value], rng: &mut impl Rng) -> Value {
    // One of so many draws is free, but for domains that nearly all is taken of; there the next free one must do.
    const DRAWS: usize = 64;
    let mut value = domain.sample(rng);
    for _ in 0..DRAWS {
        if !taken.contains(&value) {
            return value;
        }
        value = domain.sample(rng);
    }
    while taken.contains(&value) {
        value = domain.successor(&value).unwrap_or_else(|| domain.first(rng));
    }
    value
}

impl Space {
    /// The values of a dimension.
    fn domain(&self, name: &str) -> Option<&Domain> {
        self.dimensions.iter().find(|dimension| dimension.name == name).map(|dimension| &dimension.domain)
    }

    /// The point, put right where it breaks a constraint. Its values are all of their domains.
    pub(crate) fn repaired(&self, point: Point) -> Point {
        if self.constraints.iter().all(|constraint| constraint.holds(&point, self)) {
            return point;
        }
        // A point has one repair, whoever asks: its own content is the seed.
        let mut rng = generator(point.key().as_u128() as u64, "constraints", TrialId(0));
        let wanted = self.constraints.iter().fold(point, |point, constraint| constraint.repair(point, self, &mut rng));
        self.assemble_freely(|dimension, _| {
            wanted.get(&dimension.name).cloned().unwrap_or_else(|| dimension.domain.sample(&mut rng))
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.dimensions().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Distinct { .. } => write!(f, "{names} all differ"),
            Self::AtMost { most, .. } => write!(f, "the costs of {names} add up to at most {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::{Error, Space};

    const CHOICES: [&str; 3] = ["none", "one", "two"];

    /// Six stacks of up to two, three in all.
    fn stacks() -> Space {
        let names: Vec<String> = (0..6).map(|place| format!("stack_{place}")).collect();
        let space = names.iter().fold(Space::new(), |space, name| space.categorical(name.clone(), CHOICES));
        space.at_most(names, [0, 1, 2], 3)
    }

    /// Three of five integers, and a dimension that only 0 leaves out.
    fn places() -> Space {
        let names = ["a", "b", "c"];
        let space = names.iter().fold(Space::new(), |space, name| space.int(*name, 0..=4));
        let space = space.float("x", 0.0..=1.0);
        names.iter().fold(space, |space, name| space.unless(*name, 0)).distinct(names)
    }

    #[test]
    fn drawn_changed_and_mixed_points_keep_the_constraints() -> Result<(), Error> {
        for space in [stacks().build()?, places().build()?] {
            let mut parent = space.sample(&mut generator(0, "test", TrialId(0)))?;
            for id in 0..300 {
                let mut rng = generator(1, "test", TrialId(id));
                let drawn = space.sample(&mut rng)?;
                assert!(space.contains(&drawn), "{drawn:?}");
                parent = space.mutate(&parent, 2, &mut rng);
                assert!(space.contains(&parent), "{parent:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_point_that_breaks_a_constraint_is_refused() -> Result<(), Error> {
        let space = stacks().build()?;
        let full = (0..6).fold(Point::new(), |point, place| point.with_categorical(format!("stack_{place}"), "one"));
        let refusal = space.canonical(&full).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(refusal.contains("add up to at most 3"), "{refusal}");
        let repaired = space.repaired(full.clone());
        assert!(space.contains(&repaired));
        assert_eq!(repaired, space.repaired(full.clone()), "one repair for one point");
        // What fits is left alone, and no more is changed than must be.
        assert_eq!(space.repaired(repaired.clone()), repaired);
        let ones = repaired.iter().filter(|(_, value)| **value == "one".into()).count();
        assert_eq!(ones, 3);
        Ok(())
    }

    #[test]
    fn no_place_is_preferred_by_a_repair() -> Result<(), Error> {
        let (space, mut counts) = (stacks().build()?, BTreeMap::new());
        for id in 0..3000 {
            let point = space.sample(&mut generator(2, "test", TrialId(id)))?;
            for (name, value) in point.iter() {
                *counts.entry(name.to_owned()).or_insert(0) += usize::from(*value != "none".into());
            }
        }
        let (least, most) = (counts.values().min().copied(), counts.values().max().copied());
        let (least, most) = (least.unwrap_or(0) as f64, most.unwrap_or(0) as f64);
        assert!(least > 0.85 * most, "{counts:?}");
        Ok(())
    }

    #[test]
    fn different_integers_are_drawn_evenly() -> Result<(), Error> {
        // A point has one repair; the float makes many points of each pair.
        let space = Space::new().int("a", 0..=3).int("b", 0..=3).float("x", 0.0..=1.0);
        let space = space.distinct(["a", "b"]).build()?;
        let mut counts = BTreeMap::new();
        for id in 0..6000 {
            let point = space.sample(&mut generator(3, "test", TrialId(id)))?;
            *counts.entry((point.int("a")?, point.int("b")?)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 12);
        assert!(counts.values().all(|count| (400..600).contains(count)), "{counts:?}");
        Ok(())
    }

    #[test]
    fn every_point_of_a_small_space_is_found() -> Result<(), Error> {
        let space = Space::new().int("a", 0..=3).int("b", 0..=3).distinct(["a", "b"]).build()?;
        let mut known = HashSet::new();
        let mut rng = generator(4, "test", TrialId(0));
        while let Some(point) = space.first_unknown(|point| known.contains(&point.key()), &mut rng) {
            assert!(space.contains(&point));
            known.insert(point.key());
        }
        // By the repairs of all sixteen pairs, of which twelve differ.
        assert_eq!(known.len(), 12);
        Ok(())
    }

    #[test]
    fn a_constraint_that_makes_no_sense_is_refused() {
        let cases = [
            (Space::new().int("a", 0..=1).distinct(["a", "b"]), "not declared"),
            (Space::new().int("a", 0..=1).int("b", 0..=2).distinct(["a", "b"]), "different domains"),
            (Space::new().float("a", 0.0..=1.0).distinct(["a"]), "neither integers nor categories"),
            (Space::new().int("a", 0..=0).int("b", 0..=0).distinct(["a", "b"]), "fewer values"),
            (Space::new().categorical("a", CHOICES).at_most(["a"], [0, 1], 1), "as many choices"),
            (Space::new().categorical("a", CHOICES).at_most(["a"], [2, 3, 4], 1), "no point meets it"),
            (Space::new().int("a", 0..=1).int("b", 0..=1).when("a", 1).distinct(["b"]), "not always active"),
        ];
        for (space, part) in cases {
            let refusal = space.build().map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
            assert!(refusal.contains(part), "`{refusal}` does not say `{part}`");
        }
    }
}
