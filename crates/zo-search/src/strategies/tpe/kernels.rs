//! The kernels of one coordinate: one around each observation, and one over all values.

use rand::{Rng, RngExt};

use super::coordinates::Coordinate;
use crate::models::normal::normal_cdf;
use crate::random::gaussian;
use crate::space::order::rising;

/// Draws of a truncated normal number that may fall outside before one is drawn evenly.
const DRAWS: usize = 64;

/// The kernels of one coordinate; the last one is the prior.
#[derive(Debug, Clone)]
pub(super) enum Kernels {
    /// Normal ones, cut off at the bounds.
    Number { low: f64, high: f64, width: f64, normals: Vec<Normal> },
    /// The value seen, against the others.
    Choice { count: usize, seen: Vec<usize>, hit: f64, miss: f64 },
}

/// A normal kernel, cut off at the bounds of its coordinate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    mean: f64,
    deviation: f64,
    /// What its density at `z` deviations from the mean is to be multiplied by, as a logarithm; for intervals, their
    /// mass.
    ln_norm: f64,
}

impl Kernels {
    /// As optuna 5 has them, for `n` observations.
    ///
    /// Of a number, the kernel of an observation is normal. Its deviation is the larger gap to its neighbours, kept
    /// between `range / min(100, n + 2)` and the range. The observations at the ends have one neighbour; a single
    /// observation has none, and takes the larger distance to a bound. The prior is normal around the middle, with the
    /// range as its deviation.
    ///
    /// Of a choice among `count`, the kernel of an observation gives the value seen the weight `1 + 1/(n + 1)`, and
    /// each other value `1/(n + 1)`; the weights are divided by their sum. The prior is even.
    pub(super) fn new(coordinate: Coordinate, seen: &[f64]) -> Self {
        match coordinate {
            Coordinate::Choice { count } => {
                let kernels = (seen.len() + 1) as f64;
                let rest = 1.0 / kernels;
                let sum = 1.0 + count as f64 * rest;
                let seen = seen.iter().map(|x| *x as usize).collect();
                Self::Choice { count, seen, hit: (1.0 + rest) / sum, miss: rest / sum }
            }
            Coordinate::Number { low, high, width } => {
                let range = high - low;
                let least = range / (2.0 + seen.len() as f64).min(100.0);
                let order = rising(seen);
                let mut normals = vec![Normal::new(0.5 * (low + high), range, low, high, width); seen.len() + 1];
                for (rank, here) in order.iter().enumerate() {
                    let left = rank.checked_sub(1).map(|left| seen[*here] - seen[order[left]]);
                    let right = order.get(rank + 1).map(|right| seen[*right] - seen[*here]);
                    let deviation = match (left, right) {
                        (Some(left), Some(right)) => left.max(right),
                        (Some(gap), None) | (None, Some(gap)) => gap,
                        (None, None) => (seen[*here] - low).max(high - seen[*here]),
                    };
                    normals[*here] = Normal::new(seen[*here], deviation.clamp(least, range), low, high, width);
                }
                Self::Number { low, high, width, normals }
            }
        }
    }

    /// A number from kernel `which`, not yet rounded.
    pub(super) fn draw(&self, which: usize, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Choice { count, seen, hit, .. } => {
                let Some(seen) = seen.get(which) else { return rng.random_range(0..*count) as f64 };
                let others = (*count).max(2) - 1;
                if rng.random::<f64>() < *hit {
                    return *seen as f64;
                }
                let other = rng.random_range(0..others);
                (if other >= *seen { other + 1 } else { other }) as f64
            }
            Self::Number { low, high, normals, .. } => {
                let Normal { mean, deviation, .. } = normals[which];
                let drawn = (0..DRAWS).map(|_| mean + deviation * gaussian(rng)).find(|x| (low..=high).contains(&x));
                drawn.unwrap_or_else(|| low + rng.random::<f64>() * (high - low))
            }
        }
    }

    /// How likely kernel `which` makes the bit 1.
    pub(super) fn chance(&self, which: usize) -> f64 {
        match self {
            Self::Choice { seen, hit, miss, .. } => {
                seen.get(which).map_or(0.5, |seen| if *seen == 1 { *hit } else { *miss })
            }
            Self::Number { .. } => 0.5,
        }
    }

    /// Adds the logarithm of each kernel's density, or probability, at `x`.
    pub(super) fn add_ln_densities(&self, x: f64, to: &mut [f64]) {
        match self {
            Self::Choice { count, seen, hit, miss } => {
                let (here, hit, miss) = (x as usize, libm::log(*hit), libm::log(*miss));
                let even = -libm::log(*count as f64);
                let of_seen = seen.iter().map(|seen| if *seen == here { hit } else { miss });
                to.iter_mut().zip(of_seen.chain([even])).for_each(|(to, ln)| *to += ln);
            }
            Self::Number { width, normals, .. } if *width == 0.0 => {
                for (to, normal) in to.iter_mut().zip(normals) {
                    let z = (x - normal.mean) / normal.deviation;
                    *to += normal.ln_norm - 0.5 * z * z;
                }
            }
            Self::Number { width, normals, .. } => {
                for (to, normal) in to.iter_mut().zip(normals) {
                    let place = |x: f64| (x - normal.mean) / normal.deviation;
                    *to += normal.ln_norm + ln_mass(place(x - 0.5 * width), place(x + 0.5 * width));
                }
            }
        }
    }
}

impl Normal {
    fn new(mean: f64, deviation: f64, low: f64, high: f64, width: f64) -> Self {
        let mass = ln_mass((low - mean) / deviation, (high - mean) / deviation);
        let density = if width == 0.0 { libm::log(deviation * (2.0 * std::f64::consts::PI).sqrt()) } else { 0.0 };
        Self { mean, deviation, ln_norm: -mass - density }
    }
}

/// The logarithm of the standard normal's mass between two places; hardly less than -700.
fn ln_mass(from: f64, to: f64) -> f64 {
    // On the left of 0, where the differences are exact.
    let (from, to) = if from > 0.0 { (-to, -from) } else { (from, to) };
    libm::log((normal_cdf(to) - normal_cdf(from)).max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrialId, generator};

    /// The sum over integers, or the integral over floats, of each kernel.
    fn totals(kernels: &Kernels, places: impl Iterator<Item = f64>, count: usize, weight: f64) -> Vec<f64> {
        let mut sums = vec![0.0; count];
        for x in places {
            let mut ln = vec![0.0; count];
            kernels.add_ln_densities(x, &mut ln);
            sums.iter_mut().zip(ln).for_each(|(sum, ln)| *sum += weight * ln.exp());
        }
        sums
    }

    #[test]
    fn every_kernel_is_a_distribution() {
        let float = Kernels::new(Coordinate::Number { low: 0.0, high: 1.0, width: 0.0 }, &[0.0, 0.7, 0.71, 0.71]);
        let floats = (0..10_000).map(|i| (f64::from(i) + 0.5) / 10_000.0);
        let int = Kernels::new(Coordinate::Number { low: -3.5, high: 9.5, width: 1.0 }, &[-3.0, 5.0]);
        let ints = (-3..=9).map(f64::from);
        let choice = Kernels::new(Coordinate::Choice { count: 3 }, &[2.0, 2.0, 0.0]);
        let choices = (0..3).map(f64::from);
        let all = [totals(&float, floats, 5, 1e-4), totals(&int, ints, 3, 1.0), totals(&choice, choices, 4, 1.0)];
        assert!(all.iter().flatten().all(|total| (total - 1.0).abs() < 1e-6), "{all:?}");
    }

    /// `_ParzenEstimator` of optuna 5.0.0 for x in [0, 1] seen at 0.2, 0.5 and 0.6 has the deviations 0.3, 0.3, 0.2
    /// (clipped from 0.1) and 1.
    #[test]
    fn deviations_are_those_of_optuna() {
        let kernels = Kernels::new(Coordinate::Number { low: 0.0, high: 1.0, width: 0.0 }, &[0.5, 0.2, 0.6]);
        let Kernels::Number { normals, .. } = kernels else { panic!("numbers have normal kernels") };
        let deviations: Vec<f64> = normals.iter().map(|normal| normal.deviation).collect();
        let expected = [0.3, 0.3, 0.2, 1.0];
        assert!(deviations.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{deviations:?}");
    }

    #[test]
    fn draws_follow_the_densities() {
        let kernels = Kernels::new(Coordinate::Choice { count: 4 }, &[1.0]);
        let mut ln = vec![0.0; 2];
        kernels.add_ln_densities(1.0, &mut ln);
        let mut rng = generator(1, "test", TrialId(0));
        let hits = (0..4000).filter(|_| kernels.draw(0, &mut rng) == 1.0).count() as f64 / 4000.0;
        assert!((hits - ln[0].exp()).abs() < 0.03, "{hits} {}", ln[0].exp());
    }
}
