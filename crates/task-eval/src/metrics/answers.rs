//! What a metric sees of a document: the model's answers, and what they are held against.
//!
//! The kinds are those of [`AnswerKind`](super::AnswerKind). A metric that gets another kind than it
//! [observes](super::Metric::observes) answers with [`Answers::wrong`]; a task is checked beforehand, so none does.

use super::answer_kind::AnswerKind;
use super::squad::Agreement;
use crate::error::MetricError;

/// One document's answers, and what they are held against.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Answers<'a> {
    /// Of [`AnswerKind::Choices`] and [`AnswerKind::GradedChoices`].
    Choices(ChoiceAnswers<'a>),
    /// Of [`AnswerKind::WholePrompts`].
    WholePrompts(ChoiceAnswers<'a>),
    /// Of [`AnswerKind::LogLikelihood`].
    LogLikelihood {
        /// ln p of the target after its context.
        log_likelihood: f64,
        /// Whether greedy decoding would have written the target.
        greedy: bool,
    },
    /// Of [`AnswerKind::RollingLogLikelihood`].
    RollingLogLikelihood {
        /// ln p of the text, summed over its windows.
        log_likelihood: f64,
        /// The text whose words and bytes are counted.
        text: &'a str,
    },
    /// Of [`AnswerKind::Text`].
    Text {
        /// What the model wrote, after the filters.
        answer: &'a str,
        /// The right answers: other ways to say the same.
        golds: &'a [String],
        /// For each program that the filters leave whether it passes its tests, where a metric
        /// [runs programs](crate::Metric::runs_programs); else empty.
        passed: &'a [bool],
    },
}

/// The choices of a document, `n` of them, and how likely the model finds each.
#[derive(Debug, Clone, Copy)]
pub struct ChoiceAnswers<'a> {
    /// ln p of each choice after the question, `[n]`; of whole prompts, ln p of each per token of it. NaN where a model
    /// gave NaN.
    pub log_likelihoods: &'a [f64],
    /// ln p of each choice without the question, `[n]`; empty unless a metric
    /// [needs](crate::Metric::needs_unconditional_choices) them.
    pub unconditional: &'a [f64],
    /// Whether greedy decoding would have written the choice, `[n]`.
    pub greedy: &'a [bool],
    /// The right choices, from 0; a number that is no place stands for a right answer that is none of the choices.
    pub golds: &'a [i64],
    /// Unicode characters of each choice, `[n]`.
    pub characters: &'a [usize],
    /// UTF-8 bytes of each choice, `[n]`.
    pub bytes: &'a [usize],
    /// Which choices count as right, `[n]`, where the task's `process_results` says it (TruthfulQA's second score).
    pub right: Option<&'a [bool]>,
    /// How far each choice agrees with the right answers, `[n]`, where the task's `process_results` says it (ReCoRD).
    pub agreement: Option<&'a [Agreement]>,
}

impl<'a> Answers<'a> {
    /// The choices, each by itself or in its whole prompt.
    ///
    /// # Errors
    /// [`MetricError::WrongAnswers`] where the answers are something else.
    pub fn choices(&self) -> Result<&ChoiceAnswers<'a>, MetricError> {
        match self {
            Self::Choices(choices) | Self::WholePrompts(choices) => Ok(choices),
            other => Err(other.wrong()),
        }
    }

    /// The generated answer and the right ones.
    ///
    /// # Errors
    /// [`MetricError::WrongAnswers`] where the answers are something else.
    pub fn text(&self) -> Result<(&'a str, &'a [String]), MetricError> {
        match *self {
            Self::Text { answer, golds, .. } => Ok((answer, golds)),
            ref other => Err(other.wrong()),
        }
    }

    /// The error of a metric that cannot be computed from these answers.
    #[must_use]
    pub fn wrong(&self) -> MetricError {
        let found = match self {
            Self::Choices(choices) if choices.agreement.is_some() => AnswerKind::GradedChoices,
            Self::Choices(_) => AnswerKind::Choices,
            Self::WholePrompts(_) => AnswerKind::WholePrompts,
            Self::LogLikelihood { .. } => AnswerKind::LogLikelihood,
            Self::RollingLogLikelihood { .. } => AnswerKind::RollingLogLikelihood,
            Self::Text { .. } => AnswerKind::Text,
        };
        MetricError::WrongAnswers { found }
    }
}

impl ChoiceAnswers<'_> {
    /// Whether this choice is a right one.
    #[must_use]
    pub fn is_gold(&self, place: usize) -> bool {
        self.golds.iter().any(|&gold| i64::try_from(place) == Ok(gold))
    }

    /// The place of the choice that the model finds most likely.
    #[must_use]
    pub fn chosen(&self) -> usize {
        argmax(self.log_likelihoods)
    }

    /// The first right choice, or -1 if none is named: the class of a classification. A right answer that is none of
    /// the choices is a negative number, too.
    #[must_use]
    pub fn gold_class(&self) -> i64 {
        self.golds.first().copied().unwrap_or(-1)
    }
}

/// NumPy's `argmax`: the first of the largest; a NaN counts as the largest. 0 of nothing.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if values[best].is_nan() {
            break;
        }
        if value.is_nan() || *value > values[best] {
            best = place;
        }
    }
    best
}
