//! The seam: a step between what a model wrote and what metrics see of it.

use serde_json::Value;
use tailor_registry::{Entry, Settings};

use crate::error::{FilterError, SetupError};

/// A filter with its parameters: from the answers of one document, one per repeat, to their successors.
pub type FilterStep = Box<dyn Fn(Vec<Value>) -> Result<Vec<Value>, FilterError> + Send + Sync>;

/// A step between what a model wrote and what metrics see of it.
///
/// A task file names it as `function` in `filter_list`, with its parameters beside the name. Answers are JSON values:
/// texts at first, and whatever a `map` makes of them.
///
/// Laws: (1) what leaves depends on the answers that came alone, not on other documents; (2) answers keep their order.
///
/// ```
/// use serde_json::Value;
/// use tailor_registry::{Entry, Settings};
/// use task_eval::{Components, Filter, FilterStep, SetupError, TaskLibrary};
///
/// /// The last line of each answer.
/// #[derive(Debug)]
/// struct LastLine;
///
/// impl Entry for LastLine {
///     fn name(&self) -> &str { "last_line" }
///     fn summary(&self) -> &str { "The last line of each answer." }
/// }
///
/// impl Filter for LastLine {
///     fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
///         let last = |answer: Value| answer.as_str().and_then(|text| text.lines().last()).unwrap_or_default().into();
///         Ok(Box::new(move |answers| Ok(answers.into_iter().map(last).collect())))
///     }
/// }
///
/// let mut components = Components::default();
/// components.filters.register(Box::new(LastLine))?;
/// // A task file may now say `filter: [{function: last_line}, {function: take_first}]`.
/// let library = TaskLibrary::load_with(&[], components)?;
/// # let _ = library;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Filter: Entry + std::fmt::Debug + Send + Sync {
    /// The filter with these parameters. Patterns are compiled here, once.
    ///
    /// # Errors
    /// A parameter that its description cannot rule out, such as a pattern that does not compile.
    fn step(&self, settings: &Settings) -> Result<FilterStep, SetupError>;

    /// Whether it leaves one answer and no more: such a filter stands at the end of each pipeline and in no other
    /// place.
    fn leaves_one(&self) -> bool {
        false
    }
}
