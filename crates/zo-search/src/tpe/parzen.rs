//! A density over whole points, from the rows of those that were observed.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::coordinates::Columns;
use super::kernels::Kernels;
use super::sized;
use crate::space::Domain;
use crate::{Point, Space};

/// The newest observations that weigh fully; older ones weigh less, the oldest nearly nothing.
const FULL_WEIGHTS: usize = 25;

/// A mixture of one kernel for each observation, the product of kernels for each dimension, and of a prior.
///
/// Where an observation has no value for a dimension that is active in the point, its kernel there is the mixture of those that have one.
#[derive(Debug, Clone)]
pub(super) struct Parzen<'a> {
    space: &'a Space,
    columns: &'a [Columns],
    /// Of the observations and, last, of the prior.
    weights: Vec<f64>,
    dimensions: Vec<DimensionKernels>,
}

#[derive(Debug, Clone)]
struct DimensionKernels {
    /// The observations that have a value, rising.
    present: Vec<usize>,
    /// Of each coordinate, for the observations present and the prior.
    kernels: Vec<Kernels>,
    /// For a subset: how many of its free items may be chosen, and for each kernel the logarithm of the probability of that.
    sized: Option<(RangeInclusive<usize>, Vec<f64>)>,
}

impl<'a> Parzen<'a> {
    /// From observations in the order of their trials; `ramp` where old ones are to weigh less.
    pub(super) fn new(space: &'a Space, columns: &'a [Columns], rows: &[&[f64]], ramp: bool) -> Self {
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
        let dimensions = space.dimensions().iter().zip(columns);
        let dimensions = dimensions.map(|(dimension, columns)| DimensionKernels::new(&dimension.domain, columns, rows));
        Self { space, columns, weights, dimensions: dimensions.collect() }
    }

    pub(super) fn draw(&self, rng: &mut impl Rng) -> Point {
        let prior = self.weights.len() - 1;
        let observation = weighted(self.weights.iter().copied(), rng);
        let mut places = self.space.dimensions().iter().zip(&self.dimensions);
        self.space.assemble(|dimension, _| {
            // Dimensions come in the order of their declaration, some of them left out.
            let kernels = places.find(|(other, _)| other.name == dimension.name).map(|(_, kernels)| kernels);
            let Some(kernels) = kernels.filter(|kernels| !kernels.kernels.is_empty()) else {
                return dimension.domain.sample(rng);
            };
            let which = if observation == prior { Some(kernels.present.len()) } else { kernels.kernel_of(observation) };
            let which = which.unwrap_or_else(|| weighted(kernels.weights(&self.weights), rng));
            dimension.domain.at_numbers(&kernels.draw(which, rng))
        })
    }

    /// The logarithm of the density at a row.
    pub(super) fn ln_density(&self, row: &[f64]) -> f64 {
        let prior = self.weights.len() - 1;
        let mut total: Vec<f64> = self.weights.iter().map(|weight| libm::log(*weight)).collect();
        for (columns, kernels) in self.columns.iter().zip(&self.dimensions) {
            let numbers = &row[columns.first..columns.first + columns.coordinates.len()];
            if numbers.first().is_none_or(|x| x.is_nan()) {
                continue;
            }
            let here = kernels.ln_densities(numbers);
            if kernels.present.len() < prior {
                let weighted: Vec<f64> = here
                    .iter()
                    .zip(kernels.weights(&self.weights))
                    .map(|(ln, weight)| ln + libm::log(weight))
                    .collect();
                let marginal = ln_sum(&weighted) - libm::log(kernels.weights(&self.weights).sum());
                total[..prior].iter_mut().for_each(|ln| *ln += marginal);
                kernels.present.iter().zip(&here).for_each(|(i, ln)| total[*i] += ln - marginal);
            } else {
                total.iter_mut().zip(&here).for_each(|(total, ln)| *total += ln);
                continue;
            }
            total[prior] += here[kernels.present.len()];
        }
        ln_sum(&total) - libm::log(self.weights.iter().sum())
    }
}

impl DimensionKernels {
    fn new(domain: &Domain, columns: &Columns, rows: &[&[f64]]) -> Self {
        if columns.coordinates.is_empty() {
            return Self { present: Vec::new(), kernels: Vec::new(), sized: None };
        }
        let present: Vec<usize> = (0..rows.len()).filter(|i| !rows[*i][columns.first].is_nan()).collect();
        let kernels = columns.coordinates.iter().enumerate().map(|(at, coordinate)| {
            let seen: Vec<f64> = present.iter().map(|i| rows[*i][columns.first + at]).collect();
            Kernels::new(*coordinate, &seen)
        });
        let mut this = Self { kernels: kernels.collect(), present, sized: None };
        if let Domain::Subset { always, .. } = domain {
            let sizes = domain.sizes();
            let sizes = sizes.start() - always.len()..=sizes.end() - always.len();
            let ln_allowed = this.ln_allowed(&sizes);
            this.sized = Some((sizes, ln_allowed));
        }
        this
    }

    /// Depends on how many items an observation has, not on which: computed once for each number.
    fn ln_allowed(&self, sizes: &RangeInclusive<usize>) -> Vec<f64> {
        let mut known = vec![None; self.kernels.len() + 1];
        let observed = (0..self.present.len()).map(|which| {
            let chances = self.chances(which);
            let size = chances.iter().filter(|chance| **chance > 0.5).count();
            *known[size].get_or_insert_with(|| sized::ln_allowed(&chances, sizes))
        });
        let mut all: Vec<f64> = observed.collect();
        all.push(sized::ln_allowed(&self.chances(self.present.len()), sizes));
        all
    }

    fn chances(&self, which: usize) -> Vec<f64> {
        self.kernels.iter().map(|kernels| kernels.chance(which)).collect()
    }

    /// Those of the kernels, of all observations' and the prior's weights.
    fn weights(&self, all: &[f64]) -> impl Iterator<Item = f64> {
        self.present.iter().map(|i| all[*i]).chain(all.last().copied())
    }

    fn kernel_of(&self, observation: usize) -> Option<usize> {
        self.present.binary_search(&observation).ok()
    }

    fn draw(&self, which: usize, rng: &mut impl Rng) -> Vec<f64> {
        match &self.sized {
            Some((sizes, _)) => {
                sized::draw(&self.chances(which), sizes, rng).into_iter().map(|bit| f64::from(u8::from(bit))).collect()
            }
            None => self.kernels.iter().map(|kernels| kernels.draw(which, rng)).collect(),
        }
    }

    /// The logarithm of each kernel's density.
    fn ln_densities(&self, numbers: &[f64]) -> Vec<f64> {
        let mut ln = vec![0.0; self.present.len() + 1];
        if let Some((_, ln_allowed)) = &self.sized {
            ln.iter_mut().zip(ln_allowed).for_each(|(ln, allowed)| *ln -= allowed);
        }
        for (kernels, x) in self.kernels.iter().zip(numbers) {
            kernels.add_ln_densities(*x, &mut ln);
        }
        ln
    }
}

/// A place, as likely as its weight.
fn weighted(weights: impl Iterator<Item = f64>, rng: &mut impl Rng) -> usize {
    let weights: Vec<f64> = weights.collect();
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
    use crate::{Error, TrialId, generator};

    /// All points of a finite space with conditions.
    #[test]
    fn densities_add_up_to_one_and_draws_follow_them() -> Result<(), Error> {
        let space = Space::new()
            .subset_of_sizes("s", 4, 1..=2)
            .mask("m", 2)
            .when_outside("s", 0)
            .int("i", 0..=2)
            .when_at_least("m", 1)
            .build()?;
        let columns = columns(&space);
        let point = |id| space.sample(&mut generator(1, "test", TrialId(id)));
        let rows = (0..6).map(|id| Ok(row(&space, &columns, &point(id)?))).collect::<Result<Vec<_>, Error>>()?;
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let parzen = Parzen::new(&space, &columns, &rows, true);
        let mut all: Vec<Point> = Vec::new();
        let mut rng = generator(2, "test", TrialId(0));
        while let Some(next) = space.first_unknown(|point| all.contains(point), &mut rng) {
            all.push(next);
        }
        let densities: Vec<f64> =
            all.iter().map(|point| parzen.ln_density(&row(&space, &columns, point)).exp()).collect();
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
        let weights = Parzen::new(&space, &columns, &[row; 45], true).weights;
        for (at, expected) in [(0, 1.0 / 45.0), (19, 1.0), (20, 1.0), (44, 1.0), (45, 1.0)] {
            assert!((weights[at] - expected).abs() < 1e-12, "{at}: {}", weights[at]);
        }
        assert!(Parzen::new(&space, &columns, &[row; 24], true).weights.iter().all(|weight| *weight == 1.0));
    }
}
