//! The normal distribution that members are drawn from, and how it learns from their ranking.
//!
//! With `n` coordinates, mean `m` `[n]`, step size `sigma`, covariance `C` `[n, n]`, the members' steps `y_i = (x_i -
//! m) / sigma`, the best first, and weights `w_i` (Hansen 2016, arXiv 1604.00772, fig. 6):
//!
//! ```text
//! <y>     = sum of w_i y_i over the better half
//! m      <- m + sigma <y>
//! p_sigma <- (1 - c_sigma) p_sigma + sqrt(c_sigma (2 - c_sigma) mu_eff) C^(-1/2) <y>
//! p_c     <- (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_eff) <y>          h = 0 while p_sigma is long, otherwise 1
//! C      <- (1 - c_1 - c_mu sum w + (1 - h) c_1 c_c (2 - c_c)) C + c_1 p_c p_c^T + c_mu sum of w_i y_i y_i^T
//! sigma  <- sigma exp(min(1, c_sigma / damping (|p_sigma| / chi - 1)))
//! ```
//!
//! A negative weight is scaled by `n / |C^(-1/2) y_i|^2`, so that `C` stays positive definite.

use nalgebra::{DMatrix, SymmetricEigen};
use rand::Rng;

use super::constants::Constants;
use crate::random::gaussian;

/// A normal distribution with a step size, and the paths that its mean has come along.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    pub(super) constants: Constants,
    /// Where the next members are drawn around, `[n]`; each coordinate's range is the unit interval.
    pub(super) mean: Vec<f64>,
    /// The step size, in the unit of the coordinates.
    pub(super) sigma: f64,
    shape: Shape,
    /// The way that the mean has come lately, for the covariance, `[n]`.
    path_c: Vec<f64>,
    /// The same as it would be were all directions alike, for the step size, `[n]`.
    path_sigma: Vec<f64>,
    /// Updates so far.
    pub(super) updates: usize,
}

/// The covariance of a step of size 1.
#[derive(Debug, Clone)]
enum Shape {
    /// Variances alone.
    Diagonal(Vec<f64>),
    /// All of it, [n, n]; its eigenvectors (columns) and the roots of its eigenvalues, as they were `age` updates
    /// ago.
    Full { covariance: DMatrix<f64>, vectors: DMatrix<f64>, roots: Vec<f64>, age: usize },
}

impl Distribution {
    pub(super) fn new(mean: Vec<f64>, sigma: f64, members: usize, diagonal: bool) -> Self {
        let n = mean.len();
        let shape = if diagonal {
            Shape::Diagonal(vec![1.0; n])
        } else {
            let identity = DMatrix::identity(n, n);
            Shape::Full { covariance: identity.clone(), vectors: identity, roots: vec![1.0; n], age: 0 }
        };
        let constants = Constants::new(n, members, diagonal);
        Self { constants, mean, sigma, shape, path_c: vec![0.0; n], path_sigma: vec![0.0; n], updates: 0 }
    }

    /// A step in units of the step size.
    pub(super) fn step(&self, rng: &mut impl Rng) -> Vec<f64> {
        let z: Vec<f64> = self.mean.iter().map(|_| gaussian(rng)).collect();
        match &self.shape {
            Shape::Diagonal(variances) => z.iter().zip(variances).map(|(z, v)| z * v.sqrt()).collect(),
            Shape::Full { vectors, roots, .. } => {
                let mut step = vec![0.0; z.len()];
                for (j, (z, root)) in z.iter().zip(roots).enumerate() {
                    add(&mut step, z * root, vectors.column(j).as_slice());
                }
                step
            }
        }
    }

    /// The step as it would be were all directions alike.
    fn whitened(&self, step: &[f64]) -> Vec<f64> {
        match &self.shape {
            Shape::Diagonal(variances) => step.iter().zip(variances).map(|(y, v)| y / v.sqrt()).collect(),
            Shape::Full { vectors, roots, .. } => {
                let mut white = vec![0.0; step.len()];
                for (j, root) in roots.iter().enumerate() {
                    let column = vectors.column(j);
                    add(&mut white, dot(column.as_slice(), step) / root, column.as_slice());
                }
                white
            }
        }
    }

    /// The standard deviation of a coordinate.
    pub(super) fn deviation(&self, coordinate: usize) -> f64 {
        let variance = match &self.shape {
            Shape::Diagonal(variances) => variances[coordinate],
            Shape::Full { covariance, .. } => covariance[(coordinate, coordinate)],
        };
        self.sigma * variance.sqrt()
    }

    /// The ratio of the largest to the smallest eigenvalue.
    pub(super) fn condition(&self) -> f64 {
        let values: Vec<f64> = match &self.shape {
            Shape::Diagonal(variances) => variances.clone(),
            Shape::Full { roots, .. } => roots.iter().map(|root| root * root).collect(),
        };
        let most = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        most / least
    }

    /// How far the covariance's path and deviations still reach in any coordinate.
    pub(super) fn reach(&self) -> f64 {
        let path = self.path_c.iter().map(|p| self.sigma * p.abs()).fold(0.0, f64::max);
        (0..self.mean.len()).map(|i| self.deviation(i)).fold(path, f64::max)
    }

    /// Learns from the steps of all members, the best first. False if the covariance is no longer one.
    pub(super) fn update(&mut self, steps: &[&[f64]]) -> bool {
        let Constants { mu_eff, c_c, c_sigma, damping, chi, .. } = self.constants;
        let n = self.mean.len();
        let mut forward = vec![0.0; n];
        for (weight, step) in self.constants.weights.iter().zip(steps).filter(|(weight, _)| **weight > 0.0) {
            add(&mut forward, *weight, step);
        }
        let white = self.whitened(&forward);
        add(&mut self.mean, self.sigma, &forward);
        self.updates += 1;

        scale(&mut self.path_sigma, 1.0 - c_sigma);
        add(&mut self.path_sigma, (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt(), &white);
        let length = dot(&self.path_sigma, &self.path_sigma);
        let settled = 1.0 - libm::pow(1.0 - c_sigma, 2.0 * self.updates as f64);
        let steady = length / n as f64 / settled < 2.0 + 4.0 / (n as f64 + 1.0);
        scale(&mut self.path_c, 1.0 - c_c);
        if steady {
            add(&mut self.path_c, (c_c * (2.0 - c_c) * mu_eff).sqrt(), &forward);
        }
        self.update_shape(steps, steady);
        self.sigma *= libm::exp((c_sigma / damping * (length.sqrt() / chi - 1.0)).min(1.0));
        self.refresh()
    }

    fn update_shape(&mut self, steps: &[&[f64]], steady: bool) {
        let Constants { c_c, c_1, c_mu, .. } = self.constants;
        let n = self.mean.len() as f64;
        let weights: Vec<f64> = (self.constants.weights.iter().zip(steps))
            .map(|(weight, step)| {
                if *weight >= 0.0 {
                    return *weight;
                }
                let white = self.whitened(step);
                weight * n / dot(&white, &white).max(f64::MIN_POSITIVE)
            })
            .collect();
        let sum: f64 = self.constants.weights.iter().sum();
        let kept = 1.0 - c_1 - c_mu * sum + if steady { 0.0 } else { c_1 * c_c * (2.0 - c_c) };
        let learnt = weights.iter().map(|weight| c_mu * weight).zip(steps.iter().copied());
        let learnt = learnt.chain([(c_1, self.path_c.as_slice())]);
        match &mut self.shape {
            Shape::Diagonal(variances) => {
                scale(variances, kept);
                for (rate, step) in learnt {
                    variances.iter_mut().zip(step).for_each(|(v, y)| *v += rate * y * y);
                }
                variances.iter_mut().for_each(|v| *v = v.max(f64::MIN_POSITIVE));
            }
            Shape::Full { covariance, age, .. } => {
                *covariance *= kept;
                for (rate, step) in learnt {
                    for (j, y) in step.iter().enumerate() {
                        add(covariance.column_mut(j).as_mut_slice(), rate * y, step);
                    }
                }
                *age += 1;
            }
        }
    }

    /// Decomposes the covariance anew when enough was learnt since.
    fn refresh(&mut self) -> bool {
        let rate = self.constants.c_1 + self.constants.c_mu;
        let Shape::Full { covariance, vectors, roots, age } = &mut self.shape else { return self.sigma.is_finite() };
        if (*age as f64) < 1.0 / (10.0 * roots.len() as f64 * rate) {
            return true;
        }
        let Some(eigen) = SymmetricEigen::try_new(covariance.clone(), f64::EPSILON, 10_000) else { return false };
        if !(eigen.eigenvalues.iter().all(|value| value.is_finite() && *value > 0.0) && self.sigma.is_finite()) {
            return false;
        }
        *roots = eigen.eigenvalues.iter().map(|value| value.sqrt()).collect();
        *vectors = eigen.eigenvectors;
        *age = 0;
        true
    }
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}

fn scale(what: &mut [f64], factor: f64) {
    what.iter_mut().for_each(|x| *x *= factor);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
