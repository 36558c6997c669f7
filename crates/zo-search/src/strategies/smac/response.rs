//! Costs on the scale that the forest learns on, and how much a point can be expected to improve on the best.

use crate::models::forest::Prediction;
use crate::models::normal::normal_cdf;

/// What is below the least cost when the whole best twentieth is equal (SMAC3's `VERY_SMALL_NUMBER`).
const TINY: f64 = 1e-10;
/// Which percentile tells how far below the least cost the zero of the scale lies.
const PERCENTILE: f64 = 0.05;

/// `log((y - m) / (max - m))` with `m = min - (p5 - min) - 1e-10`: differences among good points count for more than
/// those among bad ones.
pub(crate) fn log_costs(costs: &[f64]) -> Vec<f64> {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let zero = min - (quantile(&sorted, PERCENTILE) - min) - TINY;
    let range = max - zero;
    // All equal (or so large that nothing is lost in them), or so far apart that no float holds the difference.
    if max <= min || !range.is_finite() {
        return vec![0.0; costs.len()];
    }
    // Among large costs 1e-10 is lost, and the least one would be at the zero.
    costs.iter().map(|cost| libm::log(((cost - zero) / range).max(TINY))).collect()
}

/// The quantile of sorted numbers, with linear interpolation; of none, 0.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// The expected improvement, on the scale of costs, of a log-normal cost on the log-cost `best` (Hutter et al. 2009):
/// `e^f Phi(v) - e^(s^2/2 + mu) Phi(v - s)` with `v = (f - mu) / s`.
pub(crate) fn expected_improvement(prediction: Prediction, best: f64) -> f64 {
    let Prediction { mean, variance } = prediction;
    let deviation = libm::sqrt(variance);
    let v = (best - mean) / deviation;
    let gain = libm::exp(best) * normal_cdf(v) - libm::exp(0.5 * variance + mean) * normal_cdf(v - deviation);
    gain.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4.6: `y = [3., 1., 2., 10.]; m = 1 - (np.percentile(y, 5) - 1) - 1e-10; np.log((y - m) / (10 - m))`.
    #[test]
    fn the_response_is_that_of_smac3() {
        let expected = [-1.448_286_037_112_276, -4.110_873_863_517_575, -2.073_991_936_836_244, 0.0];
        for (ours, theirs) in log_costs(&[3.0, 1.0, 2.0, 10.0]).iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} is not {theirs}");
        }
    }

    #[test]
    fn equal_and_enormous_costs_give_finite_responses() {
        for costs in [vec![], vec![5.0], vec![1e9; 4], vec![1e9, 1e9, 2e9], vec![-1e308, 1e308], vec![0.0, 1e-300]] {
            let responses = log_costs(&costs);
            assert!(responses.len() == costs.len() && responses.iter().all(|y| y.is_finite()), "{costs:?}");
        }
    }

    #[test]
    fn expected_improvement_is_the_integral_that_it_stands_for() {
        for (mean, deviation, best) in [(-0.5, 0.7, -1.0), (-2.0, 0.3, -1.5), (-1.0, 1.2, -3.0)] {
            let steps = 200_000;
            let integral: f64 = (0..steps)
                .map(|step| {
                    let z = -8.0 + 16.0 * (f64::from(step) + 0.5) / f64::from(steps);
                    let density = libm::exp(-z * z / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
                    (libm::exp(best) - libm::exp(mean + deviation * z)).max(0.0) * density * 16.0 / f64::from(steps)
                })
                .sum();
            let ours = expected_improvement(Prediction { mean, variance: deviation * deviation }, best);
            assert!((ours - integral).abs() < 1e-6, "{ours} is not {integral}");
        }
    }
}
