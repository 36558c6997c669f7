//! Means, deviations, and standard errors by resampling with the harness's own random numbers.

use crate::python::random::PythonRandom;

/// Resamples per generator: each chunk has its own, seeded with its number.
const CHUNK: usize = 1000;

/// A task's number, and how sure it is.
///
/// ```
/// use task_eval::Estimate;
///
/// let estimate = Estimate::mean(&[1.0, 0.0, 1.0, 0.0]);
/// assert_eq!(estimate.value, 0.5);
/// // The sample's deviation is sqrt(1/3), and its mean is of four.
/// assert!(estimate.stderr.is_some_and(|error| (error - (1.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12));
/// assert_eq!(Estimate::mean(&[1.0]).stderr, None, "one document says nothing of the spread");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error; None where none is defined, or where it would need a bootstrap that was not asked for.
    pub stderr: Option<f64>,
}

impl Estimate {
    /// The mean, with its standard error: the sample's deviation (n - 1) over the root of n.
    #[must_use]
    pub fn mean(numbers: &[f64]) -> Self {
        Self { value: mean(numbers), stderr: standard_error(numbers) }
    }

    /// A statistic of the documents, with the standard error of the harness's bootstrap: the deviation of the
    /// statistic over `iterations` resamples of the items, seeded as the harness seeds them. No error for `iterations`
    /// of 0 or for one item. Cost: `iterations` times what the statistic costs, and one draw for each item of each.
    #[must_use]
    pub fn bootstrapped<T: Copy>(items: &[T], iterations: usize, statistic: impl Fn(&[T]) -> f64) -> Self {
        let stderr = bootstrap(items.len(), if items.len() > 1 { iterations } else { 0 }, |places| {
            statistic(&places.iter().map(|&place| items[place]).collect::<Vec<_>>())
        });
        Self { value: statistic(items), stderr }
    }

    /// A number whose error the harness does not define.
    #[must_use]
    pub fn without_error(value: f64) -> Self {
        Self { value, stderr: None }
    }
}

/// `(sum of x) / n`, summed in order as the harness sums it; NaN of nothing.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The upper median; NaN of nothing.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The squared distance from `probabilities` to the one-hot vector of `gold`, from 0 to 2; a gold outside counts as
/// none.
pub(super) fn squared_distance(gold: i64, probabilities: &[f64]) -> f64 {
    let one_hot = |place: usize| f64::from(u8::from(i64::try_from(place) == Ok(gold)));
    probabilities.iter().enumerate().map(|(place, p)| (p - one_hot(place)).powi(2)).sum()
}

/// The deviation of the mean: the sample's (n - 1) over the root of n. None for one number.
fn standard_error(numbers: &[f64]) -> Option<f64> {
    sample_deviation(numbers).map(|deviation| deviation / (numbers.len() as f64).sqrt())
}

/// The sample's standard deviation (n - 1); None for fewer than two.
fn sample_deviation(numbers: &[f64]) -> Option<f64> {
    if numbers.len() < 2 {
        return None;
    }
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (numbers.len() - 1) as f64).sqrt())
}

/// The standard deviation of `statistic` over resamples of the places `0..n`; None if fewer than two are drawn.
///
/// Bit for bit the harness's `bootstrap_stderr`: `iterations` resamples in chunks of 1000, of which the last is left
/// out if it is not whole. Fewer than 1000 are one chunk.
fn bootstrap(n: usize, iterations: usize, statistic: impl Fn(&[usize]) -> f64) -> Option<f64> {
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
    sample_deviation(&values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// `tests/golden/units.json`: the harness's means, medians and errors on small lists.
    #[test]
    fn errors_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let theirs = &units["agg"];
        let numbers = |key: &str| -> Vec<f64> {
            theirs["in"][key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        let (acc, lls) = (numbers("acc"), numbers("lls"));
        let close = |ours: f64, key: &str| {
            let theirs = theirs[key].as_f64().unwrap_or(f64::NAN);
            assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{key}: {ours} instead of {theirs}");
        };
        close(mean(&acc), "mean");
        close(standard_error(&acc).ok_or("one number")?, "mean_stderr");
        close(median(&acc), "median");
        let perplexity = |numbers: &[f64]| (-mean(numbers)).exp();
        for (key, iterations) in [("bootstrap_ppl_3000", 3000), ("bootstrap_ppl_500", 500)] {
            let error = Estimate::bootstrapped(&lls, iterations, perplexity).stderr;
            assert_eq!(error, theirs[key].as_f64(), "{key} is the harness's, bit for bit");
        }
        let error = Estimate::bootstrapped(&acc, 2500, median).stderr;
        assert_eq!(error, theirs["bootstrap_median_2500"].as_f64());
        Ok(())
    }
}
