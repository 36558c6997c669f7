//! What a document's answers are worth, and how a task's documents become one number: the seam, and the tables.
//!
//! A family of metrics is a file, a metric or an aggregation a row of the tables at the end of this one.

/// Implements [`tailor_registry::Entry`] for a unit struct: name, summary, and parameters if there are any.
macro_rules! entry {
    ($type:ty, $name:literal, $summary:expr $(, $parameters:expr)?) => {
        impl tailor_registry::Entry for $type {
            fn name(&self) -> &str {
                $name
            }

            fn summary(&self) -> &str {
                $summary
            }

            $(fn parameters(&self) -> &[tailor_registry::Parameter] {
                const PARAMETERS: &[tailor_registry::Parameter] = $parameters;
                PARAMETERS
            })?
        }
    };
}
pub(crate) use entry;

mod accuracy;
mod aggregation;
mod answers;
mod bleu;
mod brier;
mod chrf;
mod corpus;
mod exact_match;
mod f1;
mod mcc;
mod observation;
mod perplexity;
mod statistics;
mod ter;

use tailor_registry::{Entry, Registry, Settings};

use crate::config::OutputType;
use crate::error::{MetricError, SetupError};

pub use aggregation::Aggregation;
pub use answers::{AnswerKind, Answers, ChoiceAnswers};
pub use f1::Agreement;
pub(crate) use f1::agreement;
pub use observation::{Observation, ObservationKind};
pub(crate) use perplexity::{WeightedPerplexity, choice_loss};
pub use statistics::Estimate;
pub(crate) use statistics::mean;
#[cfg(test)]
pub(crate) use {answers::argmax, exact_match::Comparison};

/// What a metric sees in one document: from its answers to an observation. Called once for each document and filter.
pub type Observer = Box<dyn Fn(&Answers<'_>) -> Result<Observation, MetricError> + Send + Sync>;

/// A number that a task reports.
///
/// A task file names it in `metric_list`, with its parameters beside the name. All that others must know of it, it
/// says itself: which answers it reads, how documents become one number, whether more is better.
///
/// Laws: (1) an observation depends on the document's answers alone; (2) it is of the kind that
/// [`observes`](Self::observes) says; (3) where more is better, a better answer is never observed as a lower number.
///
/// A metric of one's own, registered and named in a task's YAML:
///
/// ```
/// use tailor_registry::{Entry, Parameter, Settings};
/// use task_eval::{AnswerKind, Components, Metric, Observation, ObservationKind, Observer, SetupError, TaskLibrary};
///
/// /// Is the answer short enough?
/// #[derive(Debug)]
/// struct Brevity;
///
/// const PARAMETERS: &[Parameter] =
///     &[Parameter::integer("words", 1, 1000, "Words that it may have.").with_default_integer(10)];
///
/// impl Entry for Brevity {
///     fn name(&self) -> &str { "brevity" }
///     fn summary(&self) -> &str { "Whether the answer has few words." }
///     fn parameters(&self) -> &[Parameter] { PARAMETERS }
/// }
///
/// impl Metric for Brevity {
///     fn observes(&self) -> &[(AnswerKind, ObservationKind)] { &[(AnswerKind::Text, ObservationKind::Number)] }
///     fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
///         let most = settings.count("words")?;
///         Ok(Box::new(move |answers| {
///             let (answer, _golds) = answers.text()?;
///             Ok(Observation::of_truth(answer.split_whitespace().count() <= most))
///         }))
///     }
/// }
///
/// let mut components = Components::default();
/// components.metrics.register(Box::new(Brevity))?;
/// // A task file may now say `metric_list: [{metric: brevity, words: 3}]`.
/// let library = TaskLibrary::load_with(&[], components)?;
/// # let _ = library;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Metric: Entry + std::fmt::Debug + Send + Sync {
    /// The answers that it can be computed from, each with what it observes in them. Other tasks refuse the metric.
    fn observes(&self) -> &[(AnswerKind, ObservationKind)];

    /// What it sees in a document, with these parameters. Patterns are compiled here, once.
    ///
    /// # Errors
    /// A parameter that its description cannot rule out, such as a pattern that does not compile.
    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError>;

    /// The name of the [`Aggregation`] where a task names none.
    fn aggregation(&self) -> &str {
        "mean"
    }

    /// Whether more is better, unless a task says otherwise.
    fn higher_is_better(&self) -> bool {
        true
    }

    /// The tasks that report it when they name no metrics.
    fn default_for(&self) -> &[OutputType] {
        &[]
    }

    /// Whether it needs [`ChoiceAnswers::unconditional`]: as many requests more for each document.
    fn needs_unconditional_choices(&self) -> bool {
        false
    }
}

/// The right class and the most likely one.
fn predicted_class(choices: &ChoiceAnswers<'_>) -> Observation {
    let predicted = i64::try_from(choices.chosen()).unwrap_or(-1);
    Observation::Classes { gold: choices.gold_class(), predicted }
}

/// Every metric, in the order in which the harness writes a multiple-choice document's.
pub(crate) fn metrics() -> Registry<dyn Metric> {
    let rows: [Box<dyn Metric>; 17] = [
        // First, so that a log-likelihood task writes it before its acc; no other kind of request has it.
        Box::new(perplexity::Perplexity),
        Box::new(accuracy::Accuracy),
        Box::new(f1::F1),
        Box::new(f1::ExactAgreement),
        Box::new(mcc::MatthewsCorrelation),
        Box::new(accuracy::CharacterNormalised),
        Box::new(accuracy::ByteNormalised),
        Box::new(exact_match::ExactMatch),
        Box::new(brier::BrierScore),
        Box::new(accuracy::MutualInformation),
        Box::new(perplexity::WordPerplexity),
        Box::new(perplexity::BytePerplexity),
        Box::new(perplexity::BitsPerByte),
        Box::new(bleu::BLEU),
        Box::new(chrf::CHRF),
        Box::new(chrf::CHRF_WITH_WORDS),
        Box::new(ter::TER),
    ];
    Registry::with_rows("metric", rows)
}

/// Every aggregation.
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
