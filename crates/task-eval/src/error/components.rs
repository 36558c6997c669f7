//! What can go wrong with metrics, aggregations and filters: the table's own and a program's.

use crate::metrics::AnswerKind;

/// Why a filter cannot go on with a document's answers. The texts follow the filter's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A pattern backtracks without end on an answer. What it would have found is not known, so the answer cannot be
    /// scored.
    #[error("gives up on the pattern `{pattern}`: {source}; write it without repetitions within repetitions")]
    PatternGivesUp {
        /// The pattern as the task writes it.
        pattern: String,
        /// How it gave up.
        source: Box<fancy_regex::Error>,
    },
    /// The match that `group_select` asks for is not there.
    #[error(
        "found {found} matches, fewer than `group_select: {group_select}` counts on; choose another, such as 0 or -1"
    )]
    TooFewMatches {
        /// Matches in the answer.
        found: usize,
        /// The match asked for, from 0; from the end, if negative.
        group_select: i64,
    },
    /// There are fewer answers than the filter keeps.
    #[error("needs {needed} answers, but gets {found}: set `repeats` to {needed} or more")]
    TooFewAnswers {
        /// Answers that it keeps.
        needed: usize,
        /// Answers of the document.
        found: usize,
    },
    /// An earlier filter made something else of a text.
    #[error("needs a text, but a filter before it, such as `map`, gave {found}")]
    NotAText {
        /// What it gave, as JSON.
        found: String,
    },
    /// What else a filter of a user's own stumbles over.
    #[error("fails: {0}")]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a metric cannot observe anything in a document's answer. The texts follow the metric's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A pattern backtracks without end on an answer or on a right answer.
    #[error("gives up on the pattern `{pattern}`: {source}; write it without repetitions within repetitions")]
    PatternGivesUp {
        /// The pattern as the task writes it.
        pattern: String,
        /// How it gave up.
        source: Box<fancy_regex::Error>,
    },
    /// The document's answers are not what the metric is computed from.
    #[error("cannot be computed from {found}")]
    WrongAnswers {
        /// What they are.
        found: AnswerKind,
    },
    /// There are fewer answers than the metric tries.
    #[error("needs {needed} answers, but gets {found}: set `repeats` to {needed} or more")]
    TooFewAnswers {
        /// Answers that it tries.
        needed: usize,
        /// Answers of the document.
        found: usize,
    },
    /// What else a metric of a user's own stumbles over.
    #[error("fails: {0}")]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a metric, an aggregation or a filter cannot be made ready: its name, its parameters, or what they mean.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A name that is not in its table, or a parameter that its description does not allow.
    #[error(transparent)]
    Name(Box<tailor_registry::Error>),
    /// A regular expression that cannot be compiled.
    #[error("the pattern `{pattern}` cannot be compiled: {source}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// Why.
        source: Box<fancy_regex::Error>,
    },
}

impl From<tailor_registry::Error> for SetupError {
    fn from(error: tailor_registry::Error) -> Self {
        Self::Name(Box::new(error))
    }
}
