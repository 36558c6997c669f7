//! `exact_match`: is the answer the right one, after what a task says to ignore?
//!
//! The harness's metric of generated texts. A document is 1 or 0, the task's number their mean, from 0 to 1; more is
//! better. The standard error is that of a mean. Of several right answers one is enough.
//!
//! Answer and right answer are changed alike, in this order, and compared character by character:
//!
//! 1. what `regexes_to_ignore` match is deleted, pattern by pattern;
//! 2. `ignore_case` lower-cases;
//! 3. `ignore_punctuation` deletes the 32 ASCII marks;
//! 4. `ignore_numbers` deletes the ASCII digits.
//!
//! Whitespace counts: a filter such as `remove_whitespace` takes it away. Of choices the metric says whether greedy
//! decoding would write a right one.

use serde_json::Value;
use tailor_registry::{Parameter, Settings, ValueKind};

use super::{AnswerKind, Answers, Metric, Observation, ObservationKind, Observer};
use crate::config::OutputType;
use crate::entry::entry;
use crate::error::{MetricError, SetupError};
use crate::python::regex::PythonRegex;

/// Is a generated answer the gold one, letter by letter? Of choices: does greedy decoding write a right one?
#[derive(Debug)]
pub(super) struct ExactMatch;

/// The keys that a task file may have beside `metric: exact_match`.
const EXACT_MATCH: &[Parameter] = &[
    Parameter::text("regexes_to_ignore", "What these patterns match is deleted, one after the other.")
        .of_kind(ValueKind::Texts)
        .optional(),
    Parameter::flag("ignore_case", false, "Both sides are lower-cased."),
    Parameter::flag("ignore_punctuation", false, "The 32 ASCII punctuation marks are deleted."),
    Parameter::flag("ignore_numbers", false, "The ASCII digits are deleted."),
];

entry!(
    ExactMatch,
    "exact_match",
    "Is the answer a right one, letter by letter? Of choices: does greedy decoding write a right one?",
    EXACT_MATCH
);

impl Metric for ExactMatch {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number), (AnswerKind::Text, ObservationKind::Number)]
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::GenerateUntil]
    }

    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
        let comparison = Comparison::new(settings)?;
        Ok(Box::new(move |answers| match answers {
            Answers::Text { answer, golds, .. } => comparison.matches_any(answer, golds).map(Observation::of_truth),
            Answers::Choices(choices) => {
                let right = |(place, greedy): (usize, &bool)| *greedy && choices.is_gold(place);
                Ok(Observation::Whole(i64::from(choices.greedy.iter().enumerate().any(right))))
            }
            other => Err(other.wrong()),
        }))
    }
}

/// What is ignored when two texts are compared.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Each with the text that it was compiled from.
    patterns: Vec<(String, PythonRegex)>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
}

impl Comparison {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`SetupError::Pattern`] for a pattern that does not compile.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let patterns = settings.value("regexes_to_ignore").and_then(Value::as_array).into_iter().flatten();
        let compile = |pattern: &str| match PythonRegex::new(pattern) {
            Ok(compiled) => Ok((pattern.to_owned(), compiled)),
            Err(source) => Err(SetupError::Pattern { pattern: pattern.to_owned(), source }),
        };
        Ok(Self {
            patterns: patterns.filter_map(Value::as_str).map(compile).collect::<Result<_, _>>()?,
            ignore_case: settings.flag("ignore_case")?,
            ignore_punctuation: settings.flag("ignore_punctuation")?,
            ignore_numbers: settings.flag("ignore_numbers")?,
        })
    }

    /// Whether the two are the same after what is ignored.
    ///
    /// # Errors
    /// [`MetricError::PatternGivesUp`] for a pattern that backtracks without end on one of them.
    pub(crate) fn matches(&self, answer: &str, gold: &str) -> Result<bool, MetricError> {
        let (answer, gold) = (self.normalise(answer)?, self.normalise(gold)?);
        // The harness compares NumPy strings, which end before trailing NULs.
        Ok(answer.trim_end_matches('\0') == gold.trim_end_matches('\0'))
    }

    /// Whether the answer is one of the golds.
    fn matches_any(&self, answer: &str, golds: &[String]) -> Result<bool, MetricError> {
        for gold in golds {
            if self.matches(answer, gold)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The text without what is ignored, in the order of the module's list.
    fn normalise(&self, text: &str) -> Result<String, MetricError> {
        let mut text = text.to_owned();
        for (written, pattern) in &self.patterns {
            let gives_up = |source| MetricError::PatternGivesUp { pattern: written.clone(), source };
            text = pattern.replace(&text, "", 0).map_err(gives_up)?;
        }
        if self.ignore_case {
            text = lower(&text);
        }
        if self.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        Ok(text)
    }
}

/// NumPy's `lower`: as many characters as before, so what grows in lower case is cut at the old length.
fn lower(text: &str) -> String {
    text.to_lowercase().chars().take(text.chars().count()).collect()
}
