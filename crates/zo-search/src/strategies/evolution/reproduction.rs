//! Where a child gets values that its parent has not.

use rand::{Rng, RngExt};

use crate::space::Dimension;
use crate::{Entry, Point, Space, Value};

/// What a child can inherit from, beside its parents.
pub(crate) struct Reproduction<'a> {
    pub(crate) space: &'a Space,
    /// The best first.
    pub(crate) population: &'a [&'a Entry],
}

impl Reproduction<'_> {
    /// A value for a dimension that is active in the child and not in its parents: the best member's that has one, or
    /// that of the nearest dimension with the same domain (two times in five each), or else a random one.
    pub(crate) fn activate(&self, dimension: &Dimension, parent: &Point, rng: &mut impl Rng) -> Value {
        let of_population =
            || self.population.iter().find_map(|member| member.trial.point.get(&dimension.name).cloned());
        let of_sibling = || self.nearest_sibling(dimension, parent).cloned();
        let inherited = match rng.random_range(0..5) {
            0 | 1 => of_population().or_else(of_sibling),
            2 | 3 => of_sibling().or_else(of_population),
            _ => None,
        };
        inherited.unwrap_or_else(|| dimension.domain.sample(rng))
    }

    /// The parent's value of the dimension with the same domain that is declared nearest.
    fn nearest_sibling<'p>(&self, dimension: &Dimension, parent: &'p Point) -> Option<&'p Value> {
        let dimensions = self.space.dimensions();
        let here = dimensions.iter().position(|other| other.name == dimension.name)?;
        let alike = dimensions.iter().enumerate().filter(|(_, other)| other.domain == dimension.domain);
        let active = alike.filter_map(|(there, other)| Some((there.abs_diff(here), parent.get(&other.name)?)));
        active.min_by_key(|(distance, _)| *distance).map(|(_, value)| value)
    }
}
