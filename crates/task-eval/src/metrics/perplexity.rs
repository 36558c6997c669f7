//! `perplexity` and its rolling siblings: how likely a text is.
//!
//! With L_i the natural log-likelihood of document i, n documents, and c_i the words or UTF-8 bytes of document i:
//!
//! | metric | aggregation | number | of |
//! |---|---|---|---|
//! | `perplexity` | `perplexity` | exp(-(1/n) sum of L_i) | the target after its context |
//! | `word_perplexity` | `weighted_perplexity` | exp(-(sum of L_i) / (sum of c_i)), c in words | the whole text |
//! | `byte_perplexity` | `weighted_perplexity` | exp(-(sum of L_i) / (sum of c_i)), c in bytes | the whole text |
//! | `bits_per_byte` | `bits_per_byte` | -(sum of L_i) / (sum of c_i) / ln 2, c in bytes | the whole text |
//!
//! These are the harness's names. Less is better for all of them. The perplexities are at least 1, `bits_per_byte` is
//! at least 0; none has an upper bound. In the first each document counts once, in the others each word or byte. The
//! standard error of the first is bootstrapped; the harness defines none of the others.
//!
//! A token's likelihood depends on the tokenizer, that of a word or a byte does not: models of different vocabularies
//! are compared by the latter. A task may say in which text words and bytes are counted: those of WikiText are counted
//! in the page as it is in the data, not in the detokenised one that the model reads.

use tailor_registry::Settings;

use super::aggregation::numbers;
use super::statistics::mean;
use super::{Aggregation, AnswerKind, Answers, Estimate, Metric, Observation, ObservationKind, Observer};
use crate::config::OutputType;
use crate::entry::entry;
use crate::error::SetupError;
use crate::python::text::is_space;

/// As a metric, the ln p of each target; as an aggregation, e to the mean of -ln p.
///
/// A task of `output_type: loglikelihood` that names no metrics reports it, beside `acc`.
#[derive(Debug)]
pub(super) struct Perplexity;

entry!(Perplexity, "perplexity", "e to the mean over the documents of -ln p of their targets.");

impl Metric for Perplexity {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::LogLikelihood, ObservationKind::Number)]
    }

    fn aggregation(&self) -> &str {
        "perplexity"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::Loglikelihood]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        Ok(Box::new(|answers| match answers {
            Answers::LogLikelihood { log_likelihood, .. } => Ok(Observation::Number(*log_likelihood)),
            other => Err(other.wrong()),
        }))
    }
}

impl Aggregation for Perplexity {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Number
    }

    fn aggregate(&self, observations: &[&Observation], iterations: usize) -> Estimate {
        Estimate::bootstrapped(&numbers(observations), iterations, |numbers| (-mean(numbers)).exp())
    }
}

/// A rolling text's ln p, spread over what is counted in it: one row for each way to count and to put together.
#[derive(Debug)]
pub(super) struct RollingMetric {
    pub name: &'static str,
    pub summary: &'static str,
    /// The name of its [`Aggregation`], which makes the number of the sums.
    pub aggregation: &'static str,
    /// How many units a text has: at least 1 word, as Python's split of an empty text gives one piece; 0 bytes or more.
    pub count: fn(&str) -> usize,
}

entry!(RollingMetric);

pub(super) const WORD_PERPLEXITY: RollingMetric = RollingMetric {
    name: "word_perplexity",
    summary: "e to the mean of -ln p per word of the texts.",
    aggregation: "weighted_perplexity",
    count: count_words,
};

pub(super) const BYTE_PERPLEXITY: RollingMetric = RollingMetric {
    name: "byte_perplexity",
    summary: "e to the mean of -ln p per UTF-8 byte of the texts.",
    aggregation: "weighted_perplexity",
    count: str::len,
};

pub(super) const BITS_PER_BYTE: RollingMetric = RollingMetric {
    name: "bits_per_byte",
    summary: "The mean of -log2 p per UTF-8 byte of the texts.",
    aggregation: "bits_per_byte",
    count: str::len,
};

impl Metric for RollingMetric {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::RollingLogLikelihood, ObservationKind::Weighted)]
    }

    fn aggregation(&self) -> &str {
        self.aggregation
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::LoglikelihoodRolling]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        let count = self.count;
        Ok(Box::new(move |answers| match answers {
            Answers::RollingLogLikelihood { log_likelihood, text } => {
                Ok(Observation::Weighted { log_likelihood: *log_likelihood, count: count(text) })
            }
            other => Err(other.wrong()),
        }))
    }
}

/// The aggregation of `bits_per_byte`: `-(sum of L_i) / (sum of c_i) / ln 2`, from 0 (certainty); 8 is a guess among
/// all bytes.
#[derive(Debug)]
pub(super) struct BitsPerByte;

entry!(BitsPerByte, "bits_per_byte", "The mean of -log2 p per UTF-8 byte of the texts.");

impl Aggregation for BitsPerByte {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Weighted
    }

    fn aggregate(&self, observations: &[&Observation], _: usize) -> Estimate {
        Estimate::without_error(-mean_log_likelihood(observations) / std::f64::consts::LN_2)
    }
}

/// The aggregation of `word_perplexity` and `byte_perplexity`: `exp(-(sum of L_i) / (sum of c_i))`, from 1.
#[derive(Debug)]
pub(crate) struct WeightedPerplexity;

entry!(WeightedPerplexity, "weighted_perplexity", "e to the sum of -ln p over the sum of words or bytes.");

impl Aggregation for WeightedPerplexity {
    fn accepts(&self) -> ObservationKind {
        ObservationKind::Weighted
    }

    fn aggregate(&self, observations: &[&Observation], _: usize) -> Estimate {
        Estimate::without_error((-mean_log_likelihood(observations)).exp())
    }
}

/// The sum of ln p over the sum of counts: at most 0, NaN if nothing is counted. What is no weighted observation counts
/// as one unit.
fn mean_log_likelihood(observations: &[&Observation]) -> f64 {
    let weighted: Vec<(f64, f64)> = observations
        .iter()
        .map(|observation| match observation {
            Observation::Weighted { log_likelihood, count } => (*log_likelihood, *count as f64),
            other => (other.value(), 1.0),
        })
        .collect();
    let total: f64 = weighted.iter().map(|(log_likelihood, _)| log_likelihood).sum();
    total / weighted.iter().map(|(_, count)| count).sum::<f64>()
}

/// The number of pieces between whitespace, as Python's `re.split(r"\s+", text)` counts them: whitespace at an end
/// adds an empty piece.
fn count_words(text: &str) -> usize {
    let mut pieces = 1;
    let mut inside = false;
    for c in text.chars() {
        let space = is_space(c);
        pieces += usize::from(space && !inside);
        inside = space;
    }
    pieces
}

/// The dense loss of a multiple-choice document: -ln of the golds' share among the choices, in nats.
///
/// ```text
/// ln(sum over all choices of p) - ln(sum over the right choices of p)
/// ```
///
/// From 0, where the right choices have all of the probability. A guess among n choices of which one is right costs
/// ln n. None where no gold is one of the choices. A gold that is named twice counts once.
pub(crate) fn choice_loss(log_likelihoods: &[f64], golds: &[i64]) -> Option<f64> {
    let mut places: Vec<usize> = golds.iter().filter_map(|&gold| usize::try_from(gold).ok()).collect();
    places.sort_unstable();
    places.dedup();
    let golds: Vec<f64> = places.iter().filter_map(|&place| log_likelihoods.get(place).copied()).collect();
    (!golds.is_empty()).then(|| log_sum_exp(log_likelihoods) - log_sum_exp(&golds))
}

/// `ln(sum of exp(value))`, without overflow: the largest value is taken out first. NaN where all are minus infinity.
fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// `tests/golden/units.json`: the harness's aggregations on small lists.
    #[test]
    fn perplexities_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let theirs = &units["agg"];
        let pair = |pair: &Value| {
            let (log_likelihood, count) = (pair[0].as_f64()?, pair[1].as_f64()? as usize);
            Some(Observation::Weighted { log_likelihood, count })
        };
        let weighted: Vec<_> = theirs["in"]["wl"].as_array().into_iter().flatten().filter_map(pair).collect();
        let weighted: Vec<&Observation> = weighted.iter().collect();
        let lls = theirs["in"]["lls"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        let lls: Vec<_> = lls.map(Observation::Number).collect();
        for (ours, key) in [
            (Perplexity.aggregate(&lls.iter().collect::<Vec<_>>(), 0), "perplexity"),
            (WeightedPerplexity.aggregate(&weighted, 0), "weighted_perplexity"),
            (BitsPerByte.aggregate(&weighted, 0), "bits_per_byte"),
        ] {
            let (ours, theirs) = (ours.value, theirs[key].as_f64().unwrap_or(f64::NAN));
            assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0), "{key}: {ours} instead of {theirs}");
        }
        Ok(())
    }

    #[test]
    fn words_are_counted_as_the_harness_counts_them() {
        for (text, words) in [("", 1), (" ", 2), ("a", 1), (" a b ", 4), ("a\n\nb\tc", 3), ("猫 坐\u{3000}x", 3)] {
            assert_eq!(count_words(text), words, "{text:?}");
        }
    }

    #[test]
    fn the_loss_is_zero_for_certainty_and_ln_n_for_a_guess() {
        assert_eq!(choice_loss(&[0.0, -1e9], &[0]), Some(0.0));
        let guess = choice_loss(&[-2.0; 4], &[3]).unwrap_or(f64::NAN);
        assert!((guess - 4_f64.ln()).abs() < 1e-12);
        assert_eq!(choice_loss(&[-1.0], &[-100]), None);
        assert_eq!(choice_loss(&[-1.0, -3.0], &[0, 1]), Some(0.0));
    }
}
