//! What a task's answers are: it follows from `output_type`, and decides which metrics the task can have.

use std::fmt;

use crate::config::OutputType;

/// What the answers of a task's documents are. A metric says from which of them it can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerKind {
    /// `multiple_choice`: the log-likelihood of each choice.
    Choices,
    /// `multiple_choice` with a `process_results` that says how far each choice agrees with the right answers.
    GradedChoices,
    /// `whole_prompt_ppl`: how likely the prompt is with each choice in it.
    WholePrompts,
    /// `loglikelihood`: how likely the target is.
    LogLikelihood,
    /// `loglikelihood_rolling`: how likely a whole text is.
    RollingLogLikelihood,
    /// `generate_until`: a text, after a pipeline of filters.
    Text,
}

impl AnswerKind {
    /// The answers of a task. `graded`: whether the task's `process_results` says how far choices agree with the right
    /// answers.
    pub(crate) fn of(output_type: OutputType, graded: bool) -> Self {
        match output_type {
            OutputType::MultipleChoice if graded => Self::GradedChoices,
            OutputType::MultipleChoice => Self::Choices,
            OutputType::WholePromptPpl => Self::WholePrompts,
            OutputType::Loglikelihood => Self::LogLikelihood,
            OutputType::LoglikelihoodRolling => Self::RollingLogLikelihood,
            OutputType::GenerateUntil => Self::Text,
        }
    }
}

impl fmt::Display for AnswerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Choices => "choices",
            Self::GradedChoices => "choices graded by the task's `process_results`",
            Self::WholePrompts => "perplexities of whole prompts",
            Self::LogLikelihood => "log-likelihoods",
            Self::RollingLogLikelihood => "rolling log-likelihoods",
            Self::Text => "generated texts",
        })
    }
}
