//! Which numbers a document gives, how they become one for the task, and how sure that one is.

pub(crate) mod accuracy;
pub(crate) mod aggregate;
pub(crate) mod bootstrap;
pub(crate) mod brier;
pub(crate) mod exact_match;
pub(crate) mod likelihood;
pub(crate) mod squad;
pub(crate) mod text;

use serde::{Deserialize, Serialize};

use crate::config::OutputType;

pub use exact_match::ExactMatchOptions;
use text::{Counts, TextMetric};

/// A metric by its name in `metric_list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricKind {
    /// Is the most likely choice the gold one?
    Acc,
    /// The same, each ln p divided by the number of its choice's characters.
    AccNorm,
    /// The same, divided by the number of UTF-8 bytes.
    AccBytes,
    /// The same, less the ln p of the choice without its context.
    AccMutualInfo,
    /// Is the answer the gold one, letter by letter (generation), or does greedy decoding write it (multiple choice)?
    ExactMatch,
    /// F1 of class 1; of a task that says how far its choices agree with the right answers, F1 of their words.
    F1,
    /// Is the chosen answer the gold one, without case, punctuation and articles?
    Em,
    /// Matthews' correlation coefficient.
    Mcc,
    /// The squared distance between the choices' probabilities and the gold's certainty.
    BrierScore,
    /// e to the mean of -ln p per document.
    Perplexity,
    /// e to the mean of -ln p per word.
    WordPerplexity,
    /// e to the mean of -ln p per byte.
    BytePerplexity,
    /// The mean of -log2 p per byte.
    BitsPerByte,
    /// How many of the answers' words, and of up to four in a row, a right answer has too (Papineni et al. 2002), from 0 to 100.
    Bleu,
    /// The same of up to six characters, and of the right answers' (Popović 2015).
    Chrf,
    /// The same with single words and pairs of them (Popović 2017).
    #[serde(rename = "chrf++")]
    ChrfWords,
    /// Edits from the answer to the right one, per hundred of its words (Snover et al. 2006).
    Ter,
}

/// How the documents' numbers become the task's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// The sum over the count.
    Mean,
    /// The upper median.
    Median,
    /// The mean of those that are numbers.
    Nanmean,
    /// exp(-mean)
    Perplexity,
    /// exp(-sum of ln p / sum of counts)
    WeightedPerplexity,
    /// -sum of ln p / sum of counts / ln 2
    BitsPerByte,
    /// F1 of class 1 over all (gold, predicted).
    F1,
    /// The mean of the F1 of the classes 0, 1 and 2.
    #[serde(skip)] // No name of the harness's: a function of the task `cb`.
    MacroF1,
    /// Matthews' correlation of all (gold, predicted).
    Mcc,
    /// The mean squared distance.
    BrierScore,
    /// BLEU of all answers together.
    Bleu,
    /// chrF of all answers together.
    Chrf,
    /// chrF++ of all answers together.
    #[serde(rename = "chrf++")]
    ChrfWords,
    /// Translation edit rate of all answers together.
    Ter,
}

/// A metric's row in the registry.
pub(crate) struct MetricRow {
    pub kind: MetricKind,
    pub name: &'static str,
    pub aggregation: Aggregation,
    pub higher_is_better: bool,
    /// The kinds of request that it can be computed from.
    pub output_types: &'static [OutputType],
}

const CHOICE: &[OutputType] = &[OutputType::MultipleChoice];
const ROLLING: &[OutputType] = &[OutputType::LoglikelihoodRolling];
const GENERATED: &[OutputType] = &[OutputType::GenerateUntil];

/// Every metric, in the order in which the harness writes a multiple-choice document's.
pub(crate) const METRICS: [MetricRow; 17] = [
    // First, so that a log-likelihood task writes it before its acc; no other kind of request has it.
    row(MetricKind::Perplexity, "perplexity", Aggregation::Perplexity, false, &[OutputType::Loglikelihood]),
    row(MetricKind::Acc, "acc", Aggregation::Mean, true, &[OutputType::MultipleChoice, OutputType::Loglikelihood]),
    row(MetricKind::F1, "f1", Aggregation::F1, true, CHOICE),
    row(MetricKind::Em, "em", Aggregation::Mean, true, CHOICE),
    row(MetricKind::Mcc, "mcc", Aggregation::Mcc, true, CHOICE),
    row(MetricKind::AccNorm, "acc_norm", Aggregation::Mean, true, CHOICE),
    row(MetricKind::AccBytes, "acc_bytes", Aggregation::Mean, true, CHOICE),
    row(
        MetricKind::ExactMatch,
        "exact_match",
        Aggregation::Mean,
        true,
        &[OutputType::MultipleChoice, OutputType::GenerateUntil],
    ),
    row(MetricKind::BrierScore, "brier_score", Aggregation::BrierScore, false, CHOICE),
    row(MetricKind::AccMutualInfo, "acc_mutual_info", Aggregation::Mean, true, CHOICE),
    row(MetricKind::WordPerplexity, "word_perplexity", Aggregation::WeightedPerplexity, false, ROLLING),
    row(MetricKind::BytePerplexity, "byte_perplexity", Aggregation::WeightedPerplexity, false, ROLLING),
    row(MetricKind::BitsPerByte, "bits_per_byte", Aggregation::BitsPerByte, false, ROLLING),
    row(MetricKind::Bleu, "bleu", Aggregation::Bleu, true, GENERATED),
    row(MetricKind::Chrf, "chrf", Aggregation::Chrf, true, GENERATED),
    row(MetricKind::ChrfWords, "chrf++", Aggregation::ChrfWords, true, GENERATED),
    row(MetricKind::Ter, "ter", Aggregation::Ter, false, GENERATED),
];

const fn row(
    kind: MetricKind,
    name: &'static str,
    aggregation: Aggregation,
    higher_is_better: bool,
    output_types: &'static [OutputType],
) -> MetricRow {
    MetricRow { kind, name, aggregation, higher_is_better, output_types }
}

impl MetricKind {
    /// The name in `metric_list` and in results.
    pub fn name(self) -> &'static str {
        METRICS.iter().find(|row| row.kind == self).map_or("", |row| row.name)
    }
}

impl MetricKind {
    /// Whether the aggregation makes sense of what the metric observes; `agreeing` where a task says how far its choices agree
    /// with the right answers.
    pub(crate) fn can_be_aggregated_by(self, aggregation: Aggregation, agreeing: bool) -> bool {
        use Aggregation::{BitsPerByte, MacroF1, Mean, Median, Nanmean, Perplexity, WeightedPerplexity};
        match self {
            Self::F1 | Self::Mcc if !agreeing => matches!(aggregation, Aggregation::F1 | MacroF1 | Aggregation::Mcc),
            Self::BrierScore => aggregation == Aggregation::BrierScore,
            Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => {
                matches!(aggregation, WeightedPerplexity | BitsPerByte)
            }
            _ => match TextMetric::of(self) {
                Some(metric) => aggregation == metric.aggregation(),
                None => matches!(aggregation, Mean | Median | Nanmean | Perplexity),
            },
        }
    }
}

/// What one document gives to one metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Observation {
    /// A number as it is.
    Number(f64),
    /// A whole number, which the harness writes without a point.
    Whole(i64),
    /// ln p and what it is spread over.
    Weighted { log_likelihood: f64, count: usize },
    /// The gold class and the predicted one.
    Classes { gold: i64, predicted: i64 },
    /// The gold class and the probabilities.
    Distribution { gold: i64, probabilities: Vec<f64> },
    /// An answer beside the right ones, and what it adds to a metric's sums.
    Text { metric: TextMetric, golds: Vec<String>, answer: String, counts: Box<Counts> },
}

impl Observation {
    /// One number for this document alone.
    pub(crate) fn value(&self) -> f64 {
        match self {
            Self::Number(x) => *x,
            Self::Whole(n) => *n as f64,
            Self::Weighted { log_likelihood, count } => log_likelihood / (*count).max(1) as f64,
            Self::Classes { gold, predicted } => f64::from(u8::from(gold == predicted)),
            Self::Distribution { gold, probabilities } => brier::squared_distance(*gold, probabilities),
            Self::Text { metric, counts, .. } => metric.score([counts.as_ref()]),
        }
    }
}
