//! `acc` and its normalised siblings: is the most likely choice a right one?
//!
//! The chosen choice is the one of the largest value; of equal ones the first.
//!
//! ```text
//! acc              ln p(choice | question)
//! acc_norm         ln p(choice | question) / characters of the choice
//! acc_bytes        ln p(choice | question) / UTF-8 bytes of the choice
//! acc_mutual_info  ln p(choice | question) - ln p(choice)
//! ```
//!
//! `acc` prefers short choices, as each token makes a text less likely; the others are ways to make up for that.

use tailor_registry::Settings;

use super::answers::argmax;
use super::{AnswerKind, Answers, ChoiceAnswers, Metric, Observation, ObservationKind, Observer};
use crate::config::OutputType;
use crate::entry::entry;

/// Is the most likely choice, or greedy decoding, right?
#[derive(Debug)]
pub(super) struct Accuracy;

entry!(
    Accuracy,
    "acc",
    "Is the most likely choice a right one? Of a log-likelihood: would greedy decoding write the target?"
);

impl Metric for Accuracy {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number), (AnswerKind::LogLikelihood, ObservationKind::Number)]
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::MultipleChoice, OutputType::Loglikelihood]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| match answers {
            Answers::Choices(choices) => Ok(match choices.right {
                Some(right) => Observation::Number(share(choices.log_likelihoods, right)),
                None => Observation::of_truth(choices.is_gold(choices.chosen())),
            }),
            Answers::LogLikelihood { greedy, .. } => Ok(Observation::Whole(i64::from(*greedy))),
            other => Err(other.wrong()),
        }))
    }
}

/// The share of the probability that the right choices have, as `truthfulqa_mc2` computes it.
fn share(log_likelihoods: &[f64], right: &[bool]) -> f64 {
    let all: f64 = log_likelihoods.iter().map(|ll| ll.exp()).sum();
    log_likelihoods.iter().zip(right).filter(|(_, right)| **right).map(|(ll, _)| ll.exp() / all).sum()
}

/// Whether the most likely choice is right where each ln p is divided by a length of its choice.
fn normalised(choices: &ChoiceAnswers<'_>, lengths: &[usize]) -> Observation {
    let per_unit: Vec<f64> =
        choices.log_likelihoods.iter().zip(lengths).map(|(ll, &length)| ll / length as f64).collect();
    Observation::of_truth(choices.is_gold(argmax(&per_unit)))
}

/// Each ln p divided by the number of its choice's characters.
#[derive(Debug)]
pub(super) struct CharacterNormalised;

entry!(CharacterNormalised, "acc_norm", "As acc, each ln p divided by the number of its choice's characters.");

impl Metric for CharacterNormalised {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number)]
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::MultipleChoice]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| answers.choices().map(|choices| normalised(choices, choices.characters))))
    }
}

/// Each ln p divided by the number of its choice's UTF-8 bytes.
#[derive(Debug)]
pub(super) struct ByteNormalised;

entry!(ByteNormalised, "acc_bytes", "As acc, each ln p divided by the number of its choice's UTF-8 bytes.");

impl Metric for ByteNormalised {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number)]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| answers.choices().map(|choices| normalised(choices, choices.bytes))))
    }
}

/// Each ln p less that of the choice without its question: their pointwise mutual information.
#[derive(Debug)]
pub(super) struct MutualInformation;

entry!(MutualInformation, "acc_mutual_info", "As acc, each ln p less that of the choice without its question.");

impl Metric for MutualInformation {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number)]
    }

    fn needs_unconditional_choices(&self) -> bool {
        true
    }

    fn observer(&self, _: &Settings) -> Result<Observer, crate::error::SetupError> {
        Ok(Box::new(|answers| {
            let choices = answers.choices()?;
            let gains = choices.log_likelihoods.iter().zip(choices.unconditional).map(|(ll, alone)| ll - alone);
            Ok(Observation::of_truth(choices.is_gold(argmax(&gains.collect::<Vec<_>>()))))
        }))
    }
}
