//! What a document's answers are worth, and how a task's documents become one number: the tables.
//!
//! A family of metrics is a file, a metric or an aggregation a row of the tables in this one. Each file's head has the
//! formula, the range and the direction; [`aggregation`] has the table of aggregations. The metrics, by what they are
//! computed from, with the harness's names; a task that names no metrics reports those in bold:
//!
//! | answers of the task | metrics |
//! |---|---|
//! | choices | **`acc`** **`acc_norm`** `acc_bytes` `acc_mutual_info` `f1` `mcc` `exact_match` `brier_score` |
//! | whole prompts | **`acc`** |
//! | graded choices | `f1` `em` |
//! | log-likelihoods | **`perplexity`** **`acc`** |
//! | rolling log-likelihoods | **`word_perplexity`** **`byte_perplexity`** **`bits_per_byte`** |
//! | generated texts | **`exact_match`** `bleu` `chrf` `chrf++` `ter` `rouge1` `rouge2` `rougeL` `rougeLsum` |
//! | generated programs | `pass_at_1` `pass_at_k` |

mod accuracy;
mod aggregation;
mod answer_kind;
mod answers;
mod bleu;
mod brier;
mod chrf;
mod corpus;
mod exact_match;
mod f1;
mod mcc;
mod metric;
mod observation;
mod pass_at_k;
mod perplexity;
mod porter;
mod rouge;
mod squad;
mod statistics;
mod ter;

use tailor_registry::Registry;

pub use aggregation::Aggregation;
pub use answer_kind::AnswerKind;
pub use answers::{Answers, ChoiceAnswers};
pub use metric::{Metric, Observer};
pub use observation::{Observation, ObservationKind};
pub(crate) use perplexity::{WeightedPerplexity, choice_loss};
pub use squad::Agreement;
pub(crate) use squad::agreement;
pub use statistics::Estimate;
pub(crate) use statistics::mean;
#[cfg(test)]
pub(crate) use {answers::argmax, exact_match::Comparison};

/// Every metric, in the order in which the harness writes a multiple-choice document's.
pub(crate) fn metrics() -> Registry<dyn Metric> {
    let rows: [Box<dyn Metric>; 23] = [
        // First, so that a log-likelihood task writes it before its acc; no other kind of request has it.
        Box::new(perplexity::Perplexity),
        Box::new(accuracy::Accuracy),
        Box::new(f1::F1),
        Box::new(f1::ExactAgreement),
        Box::new(mcc::MatthewsCorrelation),
        Box::new(accuracy::CHARACTER_NORMALISED),
        Box::new(accuracy::BYTE_NORMALISED),
        Box::new(exact_match::ExactMatch),
        Box::new(brier::BrierScore),
        Box::new(accuracy::MutualInformation),
        Box::new(perplexity::WORD_PERPLEXITY),
        Box::new(perplexity::BYTE_PERPLEXITY),
        Box::new(perplexity::BITS_PER_BYTE),
        Box::new(bleu::BLEU),
        Box::new(chrf::CHRF),
        Box::new(chrf::CHRF_WITH_WORDS),
        Box::new(ter::TER),
        Box::new(rouge::ROUGE_1),
        Box::new(rouge::ROUGE_2),
        Box::new(rouge::ROUGE_L),
        Box::new(rouge::ROUGE_L_SUM),
        Box::new(pass_at_k::PassAtOne),
        Box::new(pass_at_k::PassAtK),
    ];
    Registry::with_rows("metric", rows)
}

/// Every aggregation. Their order has no meaning.
pub(crate) fn aggregations() -> Registry<dyn Aggregation> {
    let rows: [Box<dyn Aggregation>; 14] = [
        Box::new(aggregation::Mean),
        Box::new(aggregation::Median),
        Box::new(aggregation::NanMean),
        Box::new(perplexity::Perplexity),
        Box::new(perplexity::WeightedPerplexity),
        Box::new(perplexity::BitsPerByte),
        Box::new(f1::F1),
        Box::new(f1::MacroF1),
        Box::new(mcc::MatthewsCorrelation),
        Box::new(brier::BrierScore),
        Box::new(bleu::BLEU),
        Box::new(chrf::CHRF),
        Box::new(chrf::CHRF_WITH_WORDS),
        Box::new(ter::TER),
    ];
    Registry::with_rows("aggregation", rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metrics_own_aggregation_is_there_and_accepts_what_it_observes() {
        let (metrics, aggregations) = (metrics(), aggregations());
        for metric in metrics.iter() {
            let accepted = aggregations.get(metric.aggregation()).map(Aggregation::accepts);
            // Graded choices are numbers where ungraded ones are classes: such a task names its aggregation.
            let first = metric.observes().first().map(|(_, observed)| *observed);
            assert_eq!(accepted.ok(), first, "{}", metric.name());
        }
    }
}
