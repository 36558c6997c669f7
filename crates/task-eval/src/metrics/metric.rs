//! The seam: a number that a task reports.

use tailor_registry::{Entry, Settings};

use super::answer_kind::AnswerKind;
use super::answers::{Answers, ChoiceAnswers};
use super::observation::{Observation, ObservationKind};
use crate::config::OutputType;
use crate::error::{MetricError, SetupError};

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

    /// The name of the [`Aggregation`](crate::Aggregation) where a task names none.
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

    /// What results call it with these parameters; its name, unless they are part of that.
    fn reported_as(&self, settings: &Settings) -> String {
        let _ = settings;
        self.name().to_owned()
    }

    /// Whether the answers are programs, which are run with their tests, in a sandbox: see [`Answers::Text`]. A task
    /// with such a metric is refused unless [`Options::code_execution`](crate::Options::code_execution) allows it.
    fn runs_programs(&self) -> bool {
        false
    }

    /// Whether it needs [`ChoiceAnswers::unconditional`]: as many requests more for each document.
    fn needs_unconditional_choices(&self) -> bool {
        false
    }
}

/// The right class and the most likely one: what `f1` and `mcc` observe.
pub(super) fn predicted_class(choices: &ChoiceAnswers<'_>) -> Observation {
    let predicted = i64::try_from(choices.chosen()).unwrap_or(-1);
    Observation::Classes { gold: choices.gold_class(), predicted }
}
