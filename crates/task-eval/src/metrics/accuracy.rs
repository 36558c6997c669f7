//! `acc` and its normalised siblings: is the most likely choice a right one?
//!
//! The chosen choice is the one of the largest value; of equal ones the first. A NaN counts as the largest, as NumPy's
//! `argmax` has it.
//!
//! | metric | value of a choice |
//! |---|---|
//! | `acc` | ln p(choice after the question) |
//! | `acc_norm` | ln p(choice after the question) / characters of the choice |
//! | `acc_bytes` | ln p(choice after the question) / UTF-8 bytes of the choice |
//! | `acc_mutual_info` | ln p(choice after the question) - ln p(choice alone) |
//!
//! These are the harness's names. A document is 1 or 0, the task's number their mean, from 0 to 1; more is better. The
//! standard error is that of a mean. A length is that of the choice's own text: the `target_delimiter` before it does
//! not count, although its tokens are scored.
//!
//! `acc` prefers short choices, as each token makes a text less likely; the others are ways to make up for that.

use tailor_registry::Settings;

use super::answers::argmax;
use super::{AnswerKind, Answers, ChoiceAnswers, Metric, Observation, ObservationKind, Observer};
use crate::config::OutputType;
use crate::entry::entry;
use crate::error::SetupError;

/// Is the most likely choice, or greedy decoding, right?
///
/// Of choices 1 or 0. Where the task grades its choices by a `process_results` (`truthfulqa_mc2`), the share of the
/// probability that the right ones have, from 0 to 1. Of a log-likelihood 1 if every token of the target is the most
/// likely one at its place.
#[derive(Debug)]
pub(super) struct Accuracy;

entry!(
    Accuracy,
    "acc",
    "Is the most likely choice a right one? Of a log-likelihood: would greedy decoding write the target?"
);

impl Metric for Accuracy {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[
            (AnswerKind::Choices, ObservationKind::Number),
            (AnswerKind::WholePrompts, ObservationKind::Number),
            (AnswerKind::LogLikelihood, ObservationKind::Number),
        ]
    }

    fn default_for(&self) -> &[OutputType] {
        &[OutputType::MultipleChoice, OutputType::WholePromptPpl, OutputType::Loglikelihood]
    }

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        Ok(Box::new(|answers| match answers {
            Answers::Choices(choices) | Answers::WholePrompts(choices) => Ok(match choices.right {
                Some(right) => Observation::Number(share(choices.log_likelihoods, right)),
                None => Observation::of_truth(choices.is_gold(choices.chosen())),
            }),
            Answers::LogLikelihood { greedy, .. } => Ok(Observation::Whole(i64::from(*greedy))),
            other => Err(other.wrong()),
        }))
    }
}

/// The share of the probability that the right choices have, as `truthfulqa_mc2` computes it:
///
/// ```text
/// sum over the right choices of exp(ln p) / sum over all choices of exp(ln p)
/// ```
///
/// NaN where the exponentials of all choices are 0, which is where the harness has NaN.
fn share(log_likelihoods: &[f64], right: &[bool]) -> f64 {
    let all: f64 = log_likelihoods.iter().map(|ll| ll.exp()).sum();
    log_likelihoods.iter().zip(right).filter(|(_, right)| **right).map(|(ll, _)| ll.exp() / all).sum()
}

/// A length of each choice, `[n]`.
type Lengths = for<'a> fn(&ChoiceAnswers<'a>) -> &'a [usize];

/// Is the choice of the largest ln p per unit of its length a right one? One row for each unit.
#[derive(Debug)]
pub(super) struct LengthNormalised {
    pub name: &'static str,
    pub summary: &'static str,
    /// What each ln p is divided by. An empty choice has length 0 and so a value of minus infinity or NaN.
    pub lengths: Lengths,
    /// The tasks that report it when they name no metrics.
    pub default_for: &'static [OutputType],
}

entry!(LengthNormalised);

pub(super) const CHARACTER_NORMALISED: LengthNormalised = LengthNormalised {
    name: "acc_norm",
    summary: "As acc, each ln p divided by the number of its choice's characters.",
    lengths: |choices| choices.characters,
    default_for: &[OutputType::MultipleChoice],
};

/// What papers call byte-normalised accuracy is this, not `acc_norm`.
pub(super) const BYTE_NORMALISED: LengthNormalised = LengthNormalised {
    name: "acc_bytes",
    summary: "As acc, each ln p divided by the number of its choice's UTF-8 bytes.",
    lengths: |choices| choices.bytes,
    default_for: &[],
};

impl Metric for LengthNormalised {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Choices, ObservationKind::Number)]
    }

    fn default_for(&self) -> &[OutputType] {
        self.default_for
    }

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        let lengths = self.lengths;
        Ok(Box::new(move |answers| {
            let choices = answers.choices()?;
            let per_unit = choices.log_likelihoods.iter().zip(lengths(choices)).map(|(ll, &n)| ll / n as f64);
            Ok(choice_is_right(choices, per_unit.collect()))
        }))
    }
}

/// 1 if the choice of the largest value is a right one, else 0.
fn choice_is_right(choices: &ChoiceAnswers<'_>, values: Vec<f64>) -> Observation {
    Observation::of_truth(choices.is_gold(argmax(&values)))
}

/// Each ln p less that of the choice without its question: their pointwise mutual information (Brown et al., *Language
/// models are few-shot learners*, 2020, section 2.4, has it as a division of probabilities).
///
/// It needs the choices without the question, so a document takes as many requests more as it has choices.
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

    fn observer(&self, _: &Settings) -> Result<Observer, SetupError> {
        Ok(Box::new(|answers| {
            let choices = answers.choices()?;
            let gains = choices.log_likelihoods.iter().zip(choices.unconditional).map(|(ll, alone)| ll - alone);
            Ok(choice_is_right(choices, gains.collect()))
        }))
    }
}
