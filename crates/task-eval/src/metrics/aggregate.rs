//! From the documents' observations to one number and its standard error.

use super::bootstrap::bootstrap;
use super::text::{Counts, TextMetric};
use super::{Aggregation, Observation, brier};

/// The task's number, and its standard error where the harness defines one; errors by bootstrap only with `iterations`.
pub(crate) fn aggregate(
    aggregation: Aggregation,
    observations: &[&Observation],
    iterations: usize,
) -> (f64, Option<f64>) {
    let numbers = || observations.iter().map(|observation| observation.value()).collect::<Vec<_>>();
    let weights = || observations.iter().map(|observation| weighted(observation)).collect::<Vec<_>>();
    let classes = || observations.iter().map(|observation| classes(observation)).collect::<Vec<_>>();
    match aggregation {
        Aggregation::Mean => {
            let numbers = numbers();
            (mean(&numbers), standard_error(&numbers))
        }
        Aggregation::Median => resampled(&numbers(), iterations, median),
        Aggregation::Nanmean => resampled(&numbers(), iterations, nanmean),
        Aggregation::Perplexity => resampled(&numbers(), iterations, |numbers| (-mean(numbers)).exp()),
        Aggregation::WeightedPerplexity => ((-per_unit(&weights())).exp(), None),
        Aggregation::BitsPerByte => (-per_unit(&weights()) / std::f64::consts::LN_2, None),
        Aggregation::F1 => resampled(&classes(), iterations, f1),
        Aggregation::MacroF1 => (macro_f1(&classes()), None),
        Aggregation::Mcc => resampled(&classes(), iterations, mcc),
        Aggregation::BrierScore => {
            let distances: Vec<f64> = observations.iter().map(|observation| distance(observation)).collect();
            (mean(&distances), None)
        }
        Aggregation::Bleu => texts(TextMetric::Bleu, observations, iterations),
        Aggregation::Chrf => texts(TextMetric::Chrf, observations, iterations),
        Aggregation::ChrfWords => texts(TextMetric::ChrfWords, observations, iterations),
        Aggregation::Ter => texts(TextMetric::Ter, observations, iterations),
    }
}

/// The score of all answers together, resampled as rarely as the harness does.
fn texts(metric: TextMetric, observations: &[&Observation], iterations: usize) -> (f64, Option<f64>) {
    const MOST: usize = 100;
    let counts = |observation: &&Observation| match *observation {
        Observation::Text { counts, .. } => **counts,
        _ => Counts::default(),
    };
    let counts: Vec<Counts> = observations.iter().map(counts).collect();
    resampled(&counts, iterations.min(MOST), |counts| metric.score(counts))
}

fn resampled<T: Copy>(items: &[T], iterations: usize, statistic: impl Fn(&[T]) -> f64) -> (f64, Option<f64>) {
    let error = bootstrap(items.len(), if items.len() > 1 { iterations } else { 0 }, |places| {
        statistic(&places.iter().map(|&place| items[place]).collect::<Vec<_>>())
    });
    (statistic(items), error)
}

fn weighted(observation: &Observation) -> (f64, f64) {
    match observation {
        Observation::Weighted { log_likelihood, count } => (*log_likelihood, *count as f64),
        other => (other.value(), 1.0),
    }
}

fn classes(observation: &Observation) -> (i64, i64) {
    match observation {
        Observation::Classes { gold, predicted } => (*gold, *predicted),
        // A number is right or wrong.
        other => (1, i64::from(other.value() > 0.0)),
    }
}

fn distance(observation: &Observation) -> f64 {
    match observation {
        Observation::Distribution { gold, probabilities } => brier::squared_distance(*gold, probabilities),
        other => other.value(),
    }
}

pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn nanmean(numbers: &[f64]) -> f64 {
    let present: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
    mean(&present)
}

fn per_unit(weights: &[(f64, f64)]) -> f64 {
    let total: f64 = weights.iter().map(|(log_likelihood, _)| log_likelihood).sum();
    total / weights.iter().map(|(_, count)| count).sum::<f64>()
}

/// F1 of class 1; 0 where it is not defined.
fn f1(pairs: &[(i64, i64)]) -> f64 {
    f1_of(1, pairs)
}

/// The mean of the F1 of three classes.
fn macro_f1(pairs: &[(i64, i64)]) -> f64 {
    mean(&[0, 1, 2].map(|class| f1_of(class, pairs)))
}

fn f1_of(class: i64, pairs: &[(i64, i64)]) -> f64 {
    let count = |test: &dyn Fn(bool, bool) -> bool| {
        pairs.iter().filter(|(gold, predicted)| test(*gold == class, *predicted == class)).count() as f64
    };
    let hits = count(&|gold, predicted| gold && predicted);
    let misses = count(&|gold, predicted| gold != predicted);
    if hits + misses == 0.0 { 0.0 } else { 2.0 * hits / (2.0 * hits + misses) }
}

/// Matthews' correlation for any number of classes (Gorodkin 2004, equation 8); 0 where it is not defined.
fn mcc(pairs: &[(i64, i64)]) -> f64 {
    let n = pairs.len() as f64;
    let mut counts: std::collections::BTreeMap<i64, (f64, f64)> = std::collections::BTreeMap::new();
    for &(gold, predicted) in pairs {
        counts.entry(gold).or_default().0 += 1.0;
        counts.entry(predicted).or_default().1 += 1.0;
    }
    let right = pairs.iter().filter(|(gold, predicted)| gold == predicted).count() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| counts.values().map(of).sum::<f64>();
    let covariance = right * n - sum(|(gold, predicted)| gold * predicted);
    let spread = (n * n - sum(|(gold, _)| gold * gold)) * (n * n - sum(|(_, predicted)| predicted * predicted));
    if spread == 0.0 { 0.0 } else { covariance / spread.sqrt() }
}

/// The deviation of the mean: the sample's (n - 1) over the root of n. None for one number.
fn standard_error(numbers: &[f64]) -> Option<f64> {
    sample_deviation(numbers).map(|deviation| deviation / (numbers.len() as f64).sqrt())
}

/// The sample's standard deviation (n - 1); None for fewer than two.
pub(super) fn sample_deviation(numbers: &[f64]) -> Option<f64> {
    if numbers.len() < 2 {
        return None;
    }
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (numbers.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn close(ours: f64, theirs: &Value, what: &str) {
        let theirs = theirs.as_f64().unwrap_or(f64::NAN);
        assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{what}: {ours} instead of {theirs}");
    }

    /// `tests/golden/units.json`: the harness's aggregations and errors on small lists.
    #[test]
    fn aggregations_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let theirs = &units["agg"];
        let numbers = |key: &str| -> Vec<f64> {
            theirs["in"][key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        let pairs = |key: &str| -> Vec<(f64, f64)> {
            let pair = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_f64()?));
            theirs["in"][key].as_array().into_iter().flatten().filter_map(pair).collect()
        };
        let (acc, lls) = (numbers("acc"), numbers("lls"));
        close(mean(&acc), &theirs["mean"], "mean");
        close(standard_error(&acc).ok_or("one number")?, &theirs["mean_stderr"], "mean_stderr");
        close(median(&acc), &theirs["median"], "median");
        let perplexity = |numbers: &[f64]| (-mean(numbers)).exp();
        close(perplexity(&lls), &theirs["perplexity"], "perplexity");
        let weights = pairs("wl");
        close((-per_unit(&weights)).exp(), &theirs["weighted_perplexity"], "weighted_perplexity");
        close(-per_unit(&weights) / std::f64::consts::LN_2, &theirs["bits_per_byte"], "bits_per_byte");
        let classes: Vec<_> = pairs("gp").into_iter().map(|(a, b)| (a as i64, b as i64)).collect();
        close(f1(&classes), &theirs["f1"], "f1");
        close(mcc(&classes), &theirs["mcc"], "mcc");
        for (key, iterations) in [("bootstrap_ppl_3000", 3000), ("bootstrap_ppl_500", 500)] {
            let error = resampled(&lls, iterations, perplexity).1;
            assert_eq!(error, theirs[key].as_f64(), "{key} is the harness's, bit for bit");
        }
        let error = resampled(&acc, 2500, median).1;
        assert_eq!(error, theirs["bootstrap_median_2500"].as_f64());
        Ok(())
    }

    #[test]
    fn correlation_and_f1_of_one_class_are_zero() {
        assert_eq!([f1(&[(0, 0)]), mcc(&[(1, 1), (1, 1)])], [0.0, 0.0]);
    }
}
