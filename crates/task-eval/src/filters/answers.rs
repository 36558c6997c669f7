//! `take_first`, `take_first_k`, `majority_vote`: fewer answers out of several.
//!
//! A document has one answer for each of the task's `repeats`, in the order in which they were written. Decoding is
//! greedy, so all of them are the same.

use indexmap::IndexMap;
use serde_json::Value;
use tailor_registry::{Parameter, Settings};

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::{FilterError, SetupError};
use crate::python::text::python_repr;

/// The first answers, exactly so many; fewer than that is [`FilterError::TooFewAnswers`].
fn first(k: usize) -> FilterStep {
    Box::new(move |mut answers| {
        if answers.len() < k {
            return Err(FilterError::TooFewAnswers { needed: k, found: answers.len() });
        }
        answers.truncate(k);
        Ok(answers)
    })
}

/// The first answer, which ends a pipeline.
#[derive(Debug)]
pub(super) struct TakeFirst;

entry!(TakeFirst, "take_first", "The first repeat's answer; the end of each pipeline.");

impl Filter for TakeFirst {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        Ok(first(1))
    }

    fn leaves_one(&self) -> bool {
        true
    }
}

/// The first `k` answers, for a filter after it such as `majority_vote`.
#[derive(Debug)]
pub(super) struct TakeFirstK;

entry!(
    TakeFirstK,
    "take_first_k",
    "The first repeats' answers.",
    &[Parameter::integer("k", 0, i64::MAX, "The number of answers that are kept.")]
);

impl Filter for TakeFirstK {
    fn step(&self, settings: &Settings) -> Result<FilterStep, SetupError> {
        Ok(first(settings.count("k")?))
    }
}

/// The most frequent answer, as a list of one: `take_first` follows.
#[derive(Debug)]
pub(super) struct MajorityVote;

entry!(MajorityVote, "majority_vote", "The most frequent answer; the first seen wins a tie.");

impl Filter for MajorityVote {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        Ok(Box::new(|answers| Ok(most_frequent(answers).into_iter().collect())))
    }
}

/// The answer that occurs most often; the first seen wins a tie. Answers are the same if Python prints them alike. None
/// of none.
fn most_frequent(answers: Vec<Value>) -> Option<Value> {
    let mut counts: IndexMap<String, (usize, Value)> = IndexMap::new();
    for answer in answers {
        counts.entry(python_repr(&answer)).or_insert((0, answer)).0 += 1;
    }
    let largest = counts.values().map(|(count, _)| *count).max()?;
    counts.into_values().find(|(count, _)| *count == largest).map(|(_, answer)| answer)
}
