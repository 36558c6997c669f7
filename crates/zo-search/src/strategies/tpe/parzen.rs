//! A density over the values of some dimensions, from the rows of the points that were observed.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::coordinates::Columns;
use super::kernels::Kernels;
use super::sized;
use crate::space::Domain;
use crate::{Dimension, Point, Value};

/// The newest observations that weigh fully; older ones weigh less, the oldest nearly nothing.
const FULL_WEIGHTS: usize = 25;

/// A mixture of one kernel for each observation, the product of kernels for each dimension, and of a prior.
#[derive(Debug, Clone)]
pub(super) struct Parzen<'a> {
    /// Of the observations and, last, of the prior.
    weights: Vec<f64>,
    dimensions: Vec<DimensionKernels<'a>>,
}

/// The kernels of a dimension, for each coordinate.
#[derive(Debug, Clone)]
struct DimensionKernels<'a> {
    dimension: &'a Dimension,
    kernels: Vec<Kernels>,
    /// For a subset: how many of its free items may be chosen, and for each kernel the logarithm of the probability
    /// of that.
    sized: Option<(RangeInclusive<usize>, Vec<f64>)>,
}

impl<'a> Parzen<'a> {
    /// Over some dimensions, from observations that have values for them, in the order of their trials; `ramp` where
    /// old ones are to weigh less.
    pub(super) fn new(
        dimensions: impl Iterator<Item = (&'a Dimension, &'a Columns)>,
        rows: &[&[f64]],
        ramp: bool,
    ) -> Self {
        let weight = |i: usize| {
            let (n, old) = (rows.len(), rows.len().saturating_sub(FULL_WEIGHTS));
            let first = 1.0 / n as f64;
            match (ramp && i < old, old) {
                (false, _) => 1.0,
                (true, 1) => first,
                (true, _) => first + (1.0 - first) * i as f64 / (old - 1) as f64,
            }
        };
        let weights = (0..rows.len()).map(weight).chain([1.0]).collect();
        let dimensions = dimensions.map(|(dimension, columns)| DimensionKernels::new(dimension, columns, rows));
        Self { weights, dimensions: dimensions.collect() }
    }

    /// Values for the dimensions.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Point {
        let which = weighted(&self.weights, rng);
        self.dimensions.iter().fold(Point::new(), |point, kernels| {
            let value = kernels.draw(which, rng);
            point.with(kernels.dimension.name.clone(), value)
        })
    }

    /// The logarithm of the density at a point.
    pub(super) fn ln_density(&self, point: &Point) -> f64 {
        let mut total: Vec<f64> = self.weights.iter().map(|weight| libm::log(*weight)).collect();
        self.dimensions.iter().for_each(|kernels| kernels.add_ln_densities(point, &mut total));
        ln_sum(&total) - libm::log(self.weights.iter().sum())
    }
}

impl<'a> DimensionKernels<'a> {
    fn new(dimension: &'a Dimension, columns: &'a Columns, rows: &[&[f64]]) -> Self {
        let kernels = columns.coordinates.iter().enumerate().map(|(at, coordinate)| {
            let seen: Vec<f64> = rows.iter().map(|row| row[columns.first + at]).collect();
            Kernels::new(*coordinate, &seen)
        });
        let mut this = Self { dimension, kernels: kernels.collect(), sized: None };
        if let (Domain::Subset { always, .. }, false) = (&dimension.domain, this.kernels.is_empty()) {
            let sizes = dimension.domain.sizes();
            let sizes = sizes.start() - always.len()..=sizes.end() - always.len();
            let ln_allowed = this.ln_allowed(&sizes, rows.len());
            this.sized = Some((sizes, ln_allowed));
        }
        this
    }

    /// Depends on how many items an observation has, not on which: computed once for each number.
    fn ln_allowed(&self, sizes: &RangeInclusive<usize>, observations: usize) -> Vec<f64> {
        let mut known = vec![None; self.kernels.len() + 1];
        let observed = (0..observations).map(|which| {
            let chances = self.chances(which);
            let size = chances.iter().filter(|chance| **chance > 0.5).count();
            *known[size].get_or_insert_with(|| sized::ln_allowed(&chances, sizes))
        });
        let mut all: Vec<f64> = observed.collect();
        all.push(sized::ln_allowed(&self.chances(observations), sizes));
        all
    }

    /// How likely kernel `which` chooses each free item of a subset.
    fn chances(&self, which: usize) -> Vec<f64> {
        self.kernels.iter().map(|kernels| kernels.chance(which)).collect()
    }

    /// A value from kernel `which`.
    fn draw(&self, which: usize, rng: &mut impl Rng) -> Value {
        let domain = &self.dimension.domain;
        let numbers: Vec<f64> = match &self.sized {
            _ if self.kernels.is_empty() => return domain.sample(rng),
            Some((sizes, _)) => {
                sized::draw(&self.chances(which), sizes, rng).into_iter().map(|bit| f64::from(u8::from(bit))).collect()
            }
            None => self.kernels.iter().map(|kernels| kernels.draw(which, rng)).collect(),
        };
        domain.at_numbers(&numbers)
    }

    /// Adds the logarithm of each kernel's density.
    fn add_ln_densities(&self, point: &Point, to: &mut [f64]) {
        let Some(value) = point.get(&self.dimension.name).filter(|_| !self.kernels.is_empty()) else { return };
        if let Some((_, ln_allowed)) = &self.sized {
            to.iter_mut().zip(ln_allowed).for_each(|(to, allowed)| *to -= allowed);
        }
        for (kernels, x) in self.kernels.iter().zip(self.dimension.domain.numbers(value)) {
            kernels.add_ln_densities(x, to);
        }
    }
}

/// A place, as likely as its weight.
fn weighted(weights: &[f64], rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let place = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    place.unwrap_or(weights.len() - 1)
}

/// The logarithm of the sum of what has these logarithms.
fn ln_sum(lns: &[f64]) -> f64 {
    let most = lns.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most.is_finite() { most + libm::log(lns.iter().map(|ln| libm::exp(ln - most)).sum()) } else { most }
}

#[cfg(test)]
mod tests {
    use super::super::coordinates::{columns, row};
    use super::*;
    use crate::{Error, Space, TrialId, generator};

    /// All points of a finite space.
    #[test]
    fn densities_add_up_to_one_and_draws_follow_them() -> Result<(), Error> {
        let space = Space::new().subset_of_sizes("s", 4, 1..=2).mask("m", 2).int("i", 0..=2).build()?;
        let columns = columns(&space);
        let point = |id| space.sample(&mut generator(1, "test", TrialId(id)));
        let rows = (0..6).map(|id| Ok(row(&space, &columns, &point(id)?))).collect::<Result<Vec<_>, Error>>()?;
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let parzen = Parzen::new(space.dimensions().iter().zip(&columns), &rows, true);
        let mut all: Vec<Point> = Vec::new();
        let mut rng = generator(2, "test", TrialId(0));
        while let Some(next) = space.first_unknown(|point| all.contains(point), &mut rng) {
            all.push(next);
        }
        let densities: Vec<f64> = all.iter().map(|point| parzen.ln_density(point).exp()).collect();
        assert!((densities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", densities.iter().sum::<f64>());
        let mut counts = vec![0.0; all.len()];
        for _ in 0..20_000 {
            let drawn = parzen.draw(&mut rng);
            let place = all.iter().position(|point| *point == drawn);
            place.into_iter().for_each(|place| counts[place] += 1.0 / 20_000.0);
        }
        let worst = densities.iter().zip(&counts).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.015, "differs by up to {worst}");
        Ok(())
    }

    #[test]
    fn old_observations_weigh_less() {
        let space = Space::new().float("x", 0.0..=1.0);
        let columns = columns(&space);
        let row: &[f64] = &[0.5];
        let weights = |n: usize| Parzen::new(space.dimensions().iter().zip(&columns), &vec![row; n], true).weights;
        let of_45 = weights(45);
        for (at, expected) in [(0, 1.0 / 45.0), (19, 1.0), (20, 1.0), (44, 1.0), (45, 1.0)] {
            assert!((of_45[at] - expected).abs() < 1e-12, "{at}: {}", of_45[at]);
        }
        assert!(weights(24).iter().all(|weight| *weight == 1.0));
    }
}
