//! The standard normal distribution.

use std::f64::consts::SQRT_2;

/// `Phi(x)`: the probability of a number up to `x`, 0 to 1. On the left of 0 it is exact to the last digits, however
/// small.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}
