//! A Gaussian process whose kernel is a sum over the sites: what each removal and each choice does by itself, what
//! neighbours that go together do, what holds along the row, and a residual that knows whole points. What a part of
//! the instances says too much or too little of a point is a function of the point as well: seen again on the same
//! part, it is no new evidence.

use super::kernel::{CHOICE, Kernel, OTHERS, PAIRS, PARTS, PROFILE, REMOVAL, RESIDUAL, of_itself, residual};
use super::sites::Coded;
use super::triangle::{dot, factorise, forward, lengths, solve, triangle};

/// Variances to begin with; the noise is that of an observation on all instances.
const PRIOR: Weights = Weights { parts: [0.5, 0.5, 0.2, 0.1, 0.2, 0.3], partial: 0.1, noise: 0.02 };
/// Factors tried for each variance.
const FACTORS: [f64; 2] = [0.3, 3.0];
/// How far the logarithm of a variance may stray from that of the prior: a standard deviation.
const SPREAD: f64 = 1.5;
/// Points that differ by less than so much of a site have one effect.
const SAME: f64 = 0.1;

/// Variances of the kernel's parts and of the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weights {
    /// Of each part of the kernel, by its place.
    parts: [f64; PARTS],
    /// Of what a part of the instances says too much or too little.
    partial: f64,
    /// Of an observation on all instances.
    noise: f64,
}

impl Weights {
    /// All of them, one after the other.
    fn each(&mut self) -> impl Iterator<Item = &mut f64> {
        self.parts.iter_mut().chain([&mut self.partial, &mut self.noise])
    }
}

/// What was seen of a point.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    pub(super) coded: Coded,
    /// What came out, large values pressed together (`log_warp`).
    pub(super) value: f64,
    /// Whether it was seen on a part of the instances only.
    pub(super) partial: bool,
}

/// The posterior.
pub(super) struct Model {
    kernel: Kernel,
    weights: Weights,
    /// The mean of the values seen.
    mean: f64,
    /// The standard deviation of the values seen, by which they are divided.
    scale: f64,
    /// The lower triangle of the Cholesky factor, row by row.
    factor: Vec<f64>,
    /// `K⁻¹ (y - mean) / scale`, `[seen]`: the mean at `x` is `mean + scale k(x)ᵀ alpha`.
    alpha: Vec<f64>,
}

/// What is expected at a point, without the noise.
pub(super) struct Prediction {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    /// Whether it differs from one of the points seen by less than a tenth of a site.
    pub(super) near: bool,
}

impl Model {
    /// The posterior of what was seen. `known` are the variances of an earlier fit; none: they are fitted.
    pub(super) fn fit(seen: &[Observation], known: Option<Weights>) -> Self {
        let n = seen.len().max(1) as f64;
        let mean = seen.iter().map(|seen| seen.value).sum::<f64>() / n;
        let variance = seen.iter().map(|seen| (seen.value - mean) * (seen.value - mean)).sum::<f64>() / n;
        let scale = libm::sqrt(variance).max(1e-9);
        let target: Vec<f64> = seen.iter().map(|seen| (seen.value - mean) / scale).collect();
        let mut kernel = Kernel::new(seen.iter().map(|seen| seen.coded.clone()).collect());
        let grams = Grams::of(&mut kernel, seen);
        let weights = known.unwrap_or_else(|| grams.fitted(&target));
        let factor = grams.factor(&weights);
        let alpha = solve(&factor, &target);
        Self { kernel, weights, mean, scale, factor, alpha }
    }

    pub(super) fn weights(&self) -> Weights {
        self.weights
    }

    /// The mean at a point.
    pub(super) fn mean(&mut self, point: &Coded) -> f64 {
        let kernel = mixed(&self.kernel.against(point), &self.weights);
        self.mean + self.scale * dot(&kernel, &self.alpha)
    }

    /// Mean and standard deviation at each of many points.
    pub(super) fn predict(&mut self, points: &[Coded]) -> Vec<Prediction> {
        let against: Vec<[Vec<f64>; PARTS]> = points.iter().map(|point| self.kernel.against(point)).collect();
        let kernels: Vec<Vec<f64>> = against.iter().map(|parts| mixed(parts, &self.weights)).collect();
        let known = lengths(&self.factor, &kernels);
        let each = points.iter().zip(&against).zip(kernels.iter().zip(known));
        each.map(|((point, parts), (kernel, known))| {
            let own: f64 = of_itself(point).iter().zip(&self.weights.parts).map(|(part, weight)| part * weight).sum();
            let same = residual(SAME, point);
            Prediction {
                mean: self.mean + self.scale * dot(kernel, &self.alpha),
                deviation: self.scale * libm::sqrt((own - known).max(1e-12)),
                near: parts[RESIDUAL].iter().any(|likeness| *likeness > same),
            }
        })
        .collect()
    }

    /// What removing an item adds to the mean, neighbours aside.
    pub(super) fn removal(&self, item: usize, profile: &[f64]) -> f64 {
        self.weights.parts[REMOVAL] * self.sum(self.kernel.gone(item)) + self.profile(profile)
    }

    /// What a choice for a kept item adds to the mean.
    pub(super) fn choice(&mut self, item: usize, embedding: &[f64], profile: &[f64]) -> f64 {
        let alike = self.kernel.row(item, Some(embedding)).to_vec();
        self.weights.parts[CHOICE] * self.sum(&alike) + self.profile(profile)
    }

    /// What the joint removal of an item and the next one adds to the mean.
    pub(super) fn neighbours(&self, item: usize) -> f64 {
        let pairs = self.kernel.gone(item).iter().zip(self.kernel.gone(item + 1));
        let both: Vec<f64> = pairs.map(|(first, second)| first * second).collect();
        self.weights.parts[PAIRS] * self.sum(&both)
    }

    /// What a value of another dimension adds to the mean.
    pub(super) fn other(&mut self, dimension: usize, value: &[f64]) -> f64 {
        let site = self.kernel.items() + dimension;
        let alike = self.kernel.row(site, Some(value)).to_vec();
        self.weights.parts[OTHERS] * self.sum(&alike)
    }

    /// What a profile adds to the mean.
    fn profile(&self, profile: &[f64]) -> f64 {
        self.weights.parts[PROFILE] * self.sum(&self.kernel.profiles(profile))
    }

    /// What a part of the kernel, of variance 1, adds to the mean.
    fn sum(&self, kernel: &[f64]) -> f64 {
        self.scale * dot(kernel, &self.alpha)
    }
}

/// The kernel between a point and each of those seen.
fn mixed(parts: &[Vec<f64>; PARTS], weights: &Weights) -> Vec<f64> {
    let mut mixed = vec![0.0; parts[0].len()];
    for (part, weight) in parts.iter().zip(&weights.parts) {
        mixed.iter_mut().zip(part).for_each(|(sum, part)| *sum += weight * part);
    }
    mixed
}

/// The kernel's parts between all points seen: of each, those with all of them, and whether it was seen in part.
struct Grams(Vec<([Vec<f64>; PARTS], bool)>);

impl Grams {
    /// Compares all points seen with each other: `O(seen² sites)`.
    fn of(kernel: &mut Kernel, seen: &[Observation]) -> Self {
        Self(seen.iter().map(|seen| (kernel.against(&seen.coded), seen.partial)).collect())
    }

    /// The Cholesky factor of the kernel under these variances, with the noise on its diagonal: `O(seen³)`.
    fn factor(&self, weights: &Weights) -> Vec<f64> {
        let mut matrix = Vec::with_capacity(triangle(self.0.len()));
        for (i, (parts, partial)) in self.0.iter().enumerate() {
            let mut row = mixed(parts, weights);
            if *partial {
                let wholes = parts[RESIDUAL].iter().zip(&self.0);
                for (value, (whole, _)) in row.iter_mut().zip(wholes).filter(|(_, (_, (_, partial)))| *partial) {
                    *value += weights.partial * whole;
                }
            }
            row[i] += weights.noise + 1e-8;
            matrix.extend_from_slice(&row[..=i]);
        }
        factorise(&mut matrix, self.0.len());
        matrix
    }

    /// The variances of highest posterior density, by one coordinate after the other.
    fn fitted(&self, target: &[f64]) -> Weights {
        let mut best = PRIOR;
        let mut density = self.density(&best, target);
        for _ in 0..3 {
            let before = density;
            for part in 0..PARTS + 2 {
                for factor in FACTORS {
                    let mut tried = best;
                    tried.each().skip(part).take(1).for_each(|variance| *variance *= factor);
                    let found = self.density(&tried, target);
                    if found > density {
                        (best, density) = (tried, found);
                    }
                }
            }
            if density <= before {
                break;
            }
        }
        best
    }

    /// The logarithm of the posterior density of the variances, up to a constant: the likelihood of the values, and a
    /// log-normal prior around [`PRIOR`].
    fn density(&self, weights: &Weights, target: &[f64]) -> f64 {
        let factor = self.factor(weights);
        let half = forward(&factor, target);
        let volume: f64 = (0..target.len()).map(|i| libm::log(factor[triangle(i) + i])).sum();
        let stray = |found: f64, prior: f64| libm::pow(libm::log(found / prior) / SPREAD, 2.0) / 2.0;
        let (mut weights, mut prior) = (*weights, PRIOR);
        let strays = weights.each().zip(prior.each()).map(|(found, prior)| stray(*found, *prior));
        -0.5 * dot(&half, &half) - volume - strays.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sites::Sites;
    use super::*;
    use crate::{Error, Space, TrialId, generator};

    fn space() -> Space {
        (0..5).fold(Space::new().subset("s", 5, 2), |space, item| {
            space.float(item.to_string(), 0.0..=1.0).when_outside("s", item)
        })
    }

    fn seen(count: u64, partial: bool) -> Result<Vec<Observation>, Error> {
        let (space, sites) = (space(), Sites::of(&space(), None));
        (0..count)
            .map(|id| {
                let point = space.sample(&mut generator(1, "model", TrialId(id)))?;
                let value = point.subset("s")?.iter().sum::<usize>() as f64;
                Ok(Observation { coded: sites.code(&point), value, partial })
            })
            .collect()
    }

    #[test]
    fn what_was_seen_is_known_and_what_was_not_is_foretold_from_it() -> Result<(), Error> {
        let all = seen(60, false)?;
        let mut model = Model::fit(&all[..40], None);
        let coded: Vec<Coded> = all[..40].iter().map(|seen| seen.coded.clone()).collect();
        for (seen, found) in all.iter().zip(model.predict(&coded)) {
            let error = (found.mean - seen.value).abs();
            assert!(error < 0.3 && found.deviation < 0.5 && found.near, "{} for {}", found.mean, seen.value);
            assert!((model.mean(&seen.coded) - found.mean).abs() < 1e-9);
        }
        let mean = all.iter().map(|seen| seen.value).sum::<f64>() / 60.0;
        let squares = |value: &mut dyn FnMut(&Observation) -> f64| {
            all[40..].iter().map(|s| (value(s) - s.value).powi(2)).sum::<f64>()
        };
        assert!(squares(&mut |seen| model.mean(&seen.coded)) < 0.1 * squares(&mut |_| mean));
        Ok(())
    }

    /// What is assembled is the additive part of the mean: differences of it are differences of the mean, as far as
    /// the residual and the other sites are the same.
    #[test]
    fn the_additive_picture_ranks_removals_as_the_values_do() -> Result<(), Error> {
        let mut model = Model::fit(&seen(60, false)?, None);
        let mut cost = |item: usize| {
            let share = |kept: Option<&[f64]>| super::super::sites::profile_share(item, 5, kept, 1);
            model.removal(item, &share(None)) - model.choice(item, &[0.5], &share(Some(&[0.5])))
        };
        let costs: Vec<f64> = (0..5).map(&mut cost).collect();
        assert!(costs.windows(2).all(|pair| pair[0] < pair[1]), "{costs:?}");
        Ok(())
    }

    #[test]
    fn the_same_part_seen_again_and_again_is_not_trusted_more() -> Result<(), Error> {
        let deviation = |partial: bool| -> Result<f64, Error> {
            let one = seen(1, partial)?;
            let many: Vec<Observation> = (0..20).flat_map(|_| one.clone()).collect();
            let mut model = Model::fit(&many, Some(PRIOR));
            Ok(model.predict(&[one[0].coded.clone()])[0].deviation)
        };
        assert!(deviation(true)? > 3.0 * deviation(false)?, "{} {}", deviation(true)?, deviation(false)?);
        Ok(())
    }
}
