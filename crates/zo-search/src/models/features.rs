//! Points as rows of numbers: what a model learns from, and what a search over many points works on.
//!
//! A row says all that its point says, so that children can be switched on and off and neighbours made without
//! building points.
//!
//! | dimension | features | inactive |
//! |---|---|---|
//! | float, log-float | place in its range, 0 to 1 | -1 |
//! | integer | middle of its place among the `r` values, `(j + 0.5) / r` | -1 |
//! | categorical | number of the choice | the number of choices |
//! | mask | a bit for each item | -1 each |
//! | subset | a bit for each item; count, lowest, highest, number of runs | -1 each |
//! | permutation | the place of each item | -1 each |

mod activity;
mod coding;

use std::ops::Range;

use rand::Rng;

use crate::space::Domain;
use crate::{Point, Space};
use activity::Test;
pub(crate) use coding::write_shape;

/// A space, ready to turn points into rows and rows into points.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// In the order of their declaration, parents before children.
    dimensions: Vec<Coded>,
    width: usize,
}

/// One dimension, and where it stands in a row.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    name: String,
    pub(crate) domain: Domain,
    /// Its cells in a row.
    pub(crate) at: Range<usize>,
    /// It is active where all of these hold.
    when: Vec<Test>,
    /// The dimensions whose activity hangs on this one, directly or not, parents before children.
    pub(crate) dependents: Vec<usize>,
    /// Of a subset: the items that are not frozen.
    pub(crate) free: Vec<usize>,
}

impl Features {
    /// The coding of a space. Conditions on a dimension that the space has not are left out: only a space that was not
    /// checked has them.
    pub(crate) fn new(space: &Space) -> Self {
        let mut dimensions: Vec<Coded> = Vec::new();
        let mut width = 0;
        for dimension in space.dimensions() {
            let at = width..width + coding::width_of(&dimension.domain);
            width = at.end;
            let mut when = Vec::new();
            let mut ancestors = Vec::new();
            for condition in &dimension.when {
                // A space that was checked knows its parents.
                let Some(parent) = dimensions.iter().position(|parent| parent.name == condition.parent()) else {
                    continue;
                };
                when.push(Test::new(condition, &dimensions[parent]));
                ancestors.push(parent);
                let above = (0..parent).filter(|above| dimensions[*above].dependents.contains(&parent));
                ancestors.extend(above);
            }
            ancestors.sort_unstable();
            ancestors.dedup();
            let here = dimensions.len();
            ancestors.into_iter().for_each(|ancestor| dimensions[ancestor].dependents.push(here));
            let (name, domain) = (dimension.name.clone(), dimension.domain.clone());
            let free = domain.free_items();
            dimensions.push(Coded { name, domain, at, when, dependents: Vec::new(), free });
        }
        Self { dimensions, width }
    }

    /// How many features a row has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// How many single values a point has at most, the bits and members of a dimension counted one by one.
    pub(crate) fn values(&self) -> usize {
        self.dimensions.iter().map(Coded::values).sum()
    }

    pub(crate) fn dimensions(&self) -> &[Coded] {
        &self.dimensions
    }

    /// The row of a point of the space.
    pub(crate) fn encode(&self, point: &Point) -> Vec<f64> {
        let mut row = Vec::with_capacity(self.width);
        for dimension in &self.dimensions {
            dimension.encode(point.get(&dimension.name), &mut row);
        }
        row
    }

    /// The point of a row. Values that are those of `origin` are taken from there, so that no float is rounded on its
    /// way.
    pub(crate) fn decode(&self, row: &[f64], origin: Option<&Point>, space: &Space, rng: &mut impl Rng) -> Point {
        let mut dimensions = self.dimensions.iter();
        let mut of_origin = Vec::new();
        space.assemble(|wanted, _| {
            // The space asks in its own order, which is that of the dimensions here, and leaves out those that are
            // inactive.
            let Some(dimension) = dimensions.find(|dimension| dimension.name == wanted.name) else {
                return wanted.domain.sample(rng);
            };
            let cells = &row[dimension.at.clone()];
            if let Some(value) = origin.and_then(|point| point.get(&wanted.name)) {
                of_origin.clear();
                dimension.encode(Some(value), &mut of_origin);
                if of_origin == cells {
                    return value.clone();
                }
            }
            dimension.decode(cells).unwrap_or_else(|| wanted.domain.sample(rng))
        })
    }

    /// Draws a row as [`Space::sample`] draws a point.
    pub(crate) fn sample(&self, row: &mut [f64], rng: &mut impl Rng) {
        for dimension in &self.dimensions {
            if dimension.is_active(row) {
                dimension.sample(&mut row[dimension.at.clone()], rng);
            } else {
                dimension.deactivate(row);
            }
        }
    }

    /// After a change of dimension `changed`: what hangs on it falls asleep, or wakes up with what `activate` writes.
    pub(crate) fn propagate_activity(
        &self,
        row: &mut [f64],
        changed: usize,
        mut activate: impl FnMut(usize, &Coded, &mut [f64]),
    ) {
        for index in &self.dimensions[changed].dependents {
            let dimension = &self.dimensions[*index];
            match (dimension.is_active(row), dimension.has_value(row)) {
                (true, false) => activate(*index, dimension, &mut row[dimension.at.clone()]),
                (false, true) => dimension.deactivate(row),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, TrialId, random::generator};

    fn space() -> Space {
        let mut space = Space::new()
            .subset_of_sizes("remove", 6, 0..=3)
            .never([0])
            .log_float("rate", 1e-5..=1.0)
            .int("depth", -3..=9)
            .categorical("kind", ["a", "b", "c"])
            .float("x", -1.0..=2.0)
            .when("kind", "b")
            .permutation("order", 4)
            .when("kind", "c");
        for layer in 0..6 {
            let sources = format!("{layer}.sources");
            space = space.mask(&sources, 3).when_outside("remove", layer);
            space = space.float(format!("{layer}.c"), 0.0..=1.0).when_at_least(&sources, 2);
        }
        space
    }

    #[test]
    fn a_point_comes_back_from_its_row() -> Result<(), Error> {
        let space = space().build()?;
        let features = Features::new(&space);
        for id in 0..500 {
            let mut rng = generator(1, "test", TrialId(id));
            let point = space.sample(&mut rng)?;
            let row = features.encode(&point);
            assert_eq!(row.len(), features.width());
            assert_eq!(features.decode(&row, Some(&point), &space, &mut rng), point);
            let alone = features.decode(&row, None, &space, &mut rng);
            assert!(space.contains(&alone));
            let off: f64 = features.encode(&alone).iter().zip(&row).map(|(a, b)| (a - b).abs()).sum();
            assert!(off < 1e-12, "{alone:?} is not {point:?}");
        }
        Ok(())
    }

    #[test]
    fn drawn_rows_are_rows_of_points() -> Result<(), Error> {
        let space = space().build()?;
        let features = Features::new(&space);
        let mut row = vec![f64::NAN; features.width()];
        for id in 0..500 {
            let mut rng = generator(2, "test", TrialId(id));
            features.sample(&mut row, &mut rng);
            let point = features.decode(&row, None, &space, &mut rng);
            assert!(space.contains(&point), "{point:?}");
            let again = features.encode(&point);
            assert!(again.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-12), "{again:?} from {row:?}");
        }
        Ok(())
    }

    #[test]
    fn a_subset_shows_its_count_ends_and_runs() -> Result<(), Error> {
        let features = Features::new(&Space::new().subset_of_sizes("s", 8, 0..=8).build()?);
        let row = |items: &[usize]| features.encode(&Point::new().with_subset("s", items));
        assert_eq!(row(&[1, 2, 5]), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 1.0, 5.0, 2.0]);
        assert_eq!(row(&[])[8..], [0.0, 8.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn children_follow_their_parents() -> Result<(), Error> {
        let space = space().build()?;
        let features = Features::new(&space);
        let mut rng = generator(3, "test", TrialId(0));
        let mut row = vec![0.0; features.width()];
        features.sample(&mut row, &mut rng);
        for _ in 0..500 {
            let changed = rand::RngExt::random_range(&mut rng, 0..features.dimensions().len());
            let dimension = &features.dimensions()[changed];
            if !dimension.is_active(&row) {
                continue;
            }
            dimension.sample(&mut row[dimension.at.clone()], &mut rng);
            let mut other = generator(4, "test", TrialId(0));
            features.propagate_activity(&mut row, changed, |_, dimension, cells| dimension.sample(cells, &mut other));
            let point = features.decode(&row, None, &space, &mut rng);
            let again = features.encode(&point);
            assert!(again.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-12), "{again:?} from {row:?}");
        }
        Ok(())
    }
}
