//! Standard errors by resampling, with the harness's own random numbers.

use crate::python::random::PythonRandom;

/// Resamples per generator: each chunk has its own, seeded with its number.
const CHUNK: usize = 1000;

/// The standard deviation of `statistic` over resamples of the places `0..n`; None if fewer than two are drawn.
///
/// Bit for bit the harness's `bootstrap_stderr`: `iterations` resamples in chunks of 1000, of which the last is left out
/// if it is not whole.
pub(crate) fn bootstrap(n: usize, iterations: usize, statistic: impl Fn(&[usize]) -> f64) -> Option<f64> {
    let chunk = CHUNK.min(iterations);
    if chunk == 0 || n == 0 {
        return None;
    }
    let mut values = Vec::with_capacity(iterations);
    let mut resample = vec![0; n];
    for seed in 0..iterations / chunk {
        let mut random = PythonRandom::new(seed as u64);
        for _ in 0..chunk {
            resample.fill_with(|| random.choice(n));
            values.push(statistic(&resample));
        }
    }
    super::aggregate::sample_deviation(&values)
}
