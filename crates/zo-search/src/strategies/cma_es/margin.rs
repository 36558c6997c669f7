//! The margin of discrete coordinates (CMAwM): no level next to the mean's becomes less likely than it.

use crate::models::normal::normal_cdf;

/// Where a discrete coordinate's samples are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marginal {
    pub(super) mean: f64,
    /// By what the deviation from the mean is multiplied before it is rounded to a level.
    pub(super) scale: f64,
}

/// Moves the mean, or widens the deviation, until the levels beside the mean's have a probability of `margin`
/// (together, and no less than half of it each). `deviation` is the standard deviation without the scale; the levels
/// share the unit interval.
///
/// Hamano et al. 2022 (arXiv 2205.13482), section 4.
pub(super) fn keep_margin(at: Marginal, deviation: f64, levels: f64, margin: f64) -> Marginal {
    let cell = libm::floor(at.mean * levels).clamp(0.0, levels - 1.0);
    let (low, high) = (cell / levels, (cell + 1.0) / levels);
    let spread = at.scale * deviation;
    if cell == 0.0 || cell == levels - 1.0 {
        let (border, side) = if cell == 0.0 { (high, -1.0) } else { (low, 1.0) };
        let farthest = -spread * normal_quantile(margin);
        let distance = (side * (at.mean - border)).min(farthest);
        return Marginal { mean: border + side * distance, scale: at.scale };
    }
    let below = normal_cdf((low - at.mean) / spread);
    let above = normal_cdf((at.mean - high) / spread);
    if below >= margin / 2.0 && above >= margin / 2.0 {
        return at;
    }
    let here = 1.0 - below - above;
    let (l, u) = (below.max(margin / 2.0), above.max(margin / 2.0));
    let surplus = (1.0 - l - u - here) / (l + here + u - 1.5 * margin);
    let limited = |p: f64| (p + surplus * (p - margin / 2.0)).clamp(1e-10, 0.5 - 1e-10);
    let (to_low, to_high) = (-normal_quantile(limited(l)), -normal_quantile(limited(u)));
    Marginal {
        mean: (low * to_high + high * to_low) / (to_low + to_high),
        scale: (high - low) / ((to_low + to_high) * deviation),
    }
}

/// The inverse of the normal distribution function, for `0 < p <= 1/2`: Abramowitz and Stegun 26.2.23, then Halley's
/// steps.
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * libm::log(p)).sqrt();
    let mut x =
        (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308))) - t;
    for _ in 0..2 {
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        let step = (normal_cdf(x) - p) / density;
        x -= step / (1.0 + 0.5 * x * step);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_inverts_the_distribution_function() {
        for p in [1e-10, 1e-5, 0.001, 0.02, 0.3, 0.5] {
            assert!((normal_cdf(normal_quantile(p)) / p - 1.0).abs() < 1e-9, "{p}");
        }
        assert!((normal_quantile(0.025) + 1.959_963_984_54).abs() < 1e-9);
    }

    #[test]
    fn both_neighbours_of_the_mean_keep_their_probability() {
        let margin = 0.02;
        for (mean, levels) in [(0.05, 2.0), (0.99, 2.0), (0.5, 5.0), (0.42, 5.0), (0.599, 5.0), (-3.0, 3.0)] {
            let deviation = 1e-4;
            let at = keep_margin(Marginal { mean, scale: 1.0 }, deviation, levels, margin);
            let cell = libm::floor(at.mean * levels).clamp(0.0, levels - 1.0);
            let spread = deviation * at.scale;
            let below = normal_cdf((cell / levels - at.mean) / spread);
            let above = normal_cdf((at.mean - (cell + 1.0) / levels) / spread);
            let first = if cell == 0.0 { margin } else { below };
            let last = if cell == levels - 1.0 { margin } else { above };
            assert!(first.min(last) >= margin / 2.0 - 1e-9, "{mean} of {levels}: {below} {above}");
        }
    }
}
