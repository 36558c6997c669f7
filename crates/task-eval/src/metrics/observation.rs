//! What one document gives to one metric: between an [`Observer`](super::Observer), which makes it, and an
//! [`Aggregation`](super::Aggregation), which puts those of all documents together.

use std::fmt;

use serde_json::{Value, json};

use super::statistics::squared_distance;

/// What a metric observes in a document. An aggregation says which kind it can put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObservationKind {
    /// [`Observation::Number`] and [`Observation::Whole`].
    Number,
    /// [`Observation::Weighted`].
    Weighted,
    /// [`Observation::Classes`].
    Classes,
    /// [`Observation::Distribution`].
    Distribution,
    /// [`Observation::Sums`] of the metric of this name: no other can read them.
    Sums(&'static str),
}

impl fmt::Display for ObservationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("numbers"),
            Self::Weighted => f.write_str("log-likelihoods with their words or bytes"),
            Self::Classes => f.write_str("classes"),
            Self::Distribution => f.write_str("distributions"),
            Self::Sums(metric) => write!(f, "the sums of `{metric}`"),
        }
    }
}

/// What one document gives to one metric.
///
/// ```
/// use task_eval::Observation;
///
/// assert_eq!(Observation::of_truth(true).value(), 1.0);
/// // ln p per word or byte; the squared distance from certainty; whether the class is right.
/// assert_eq!(Observation::Weighted { log_likelihood: -6.0, count: 3 }.value(), -2.0);
/// assert_eq!(Observation::Distribution { gold: 0, probabilities: vec![0.5, 0.5] }.value(), 0.5);
/// assert_eq!(Observation::Classes { gold: 1, predicted: 0 }.value(), 0.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Observation {
    /// A number as it is.
    Number(f64),
    /// A whole number, which the harness's samples write without a point.
    Whole(i64),
    /// A log-likelihood, and what it is spread over.
    Weighted {
        /// ln p of the text.
        log_likelihood: f64,
        /// Its words or bytes.
        count: usize,
    },
    /// A classification.
    Classes {
        /// The right class, from 0.
        gold: i64,
        /// The class that the model finds most likely, from 0.
        predicted: i64,
    },
    /// A distribution over classes.
    Distribution {
        /// The right class, from 0.
        gold: i64,
        /// The probability of each class, of sum 1.
        probabilities: Vec<f64>,
    },
    /// What a document adds to the sums of which a corpus metric, such as BLEU, makes its score.
    Sums {
        /// The addends, as many for each document.
        sums: Box<[f64]>,
        /// The score of this document alone.
        value: f64,
        /// What the harness's samples say of the document.
        written: Value,
    },
}

impl Observation {
    /// 1 for true, 0 for false.
    #[must_use]
    pub fn of_truth(truth: bool) -> Self {
        Self::Number(f64::from(u8::from(truth)))
    }

    /// One number for this document alone: what racing compares, and what
    /// [`DocumentResult::metrics`](crate::DocumentResult) holds.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Self::Number(x) => *x,
            Self::Whole(n) => *n as f64,
            Self::Weighted { log_likelihood, count } => log_likelihood / (*count).max(1) as f64,
            Self::Classes { gold, predicted } => f64::from(u8::from(gold == predicted)),
            Self::Distribution { gold, probabilities } => squared_distance(*gold, probabilities),
            Self::Sums { value, .. } => *value,
        }
    }

    /// As the harness's samples write it, under the metric's name in a line of `samples_TASK.jsonl`.
    pub(crate) fn written(&self) -> Value {
        match self {
            Self::Number(x) => json!(x),
            Self::Whole(n) => json!(n),
            Self::Weighted { log_likelihood, count } => json!([log_likelihood, count]),
            Self::Classes { gold, predicted } => json!([gold, predicted]),
            Self::Distribution { gold, probabilities } => json!([gold, probabilities]),
            Self::Sums { written, .. } => written.clone(),
        }
    }
}
