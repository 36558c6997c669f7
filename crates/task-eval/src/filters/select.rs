//! `take_first`, `take_first_k`, `majority_vote`: fewer answers out of several.

use indexmap::IndexMap;
use serde_json::Value;

use super::Filter;
use crate::error::FilterError;
use crate::python::text::python_repr;

#[derive(Debug)]
pub(super) enum Select {
    First(usize),
    Majority,
}

impl Filter for Select {
    fn apply(&self, mut answers: Vec<Value>) -> Result<Vec<Value>, FilterError> {
        match self {
            Self::First(k) if answers.len() < *k => {
                Err(FilterError::TooFewAnswers { needed: *k, found: answers.len() })
            }
            Self::First(k) => {
                answers.truncate(*k);
                Ok(answers)
            }
            Self::Majority => Ok(most_frequent(answers).into_iter().collect()),
        }
    }
}

/// The answer that occurs most often; the first seen wins a tie.
fn most_frequent(answers: Vec<Value>) -> Option<Value> {
    let mut counts: IndexMap<String, (usize, Value)> = IndexMap::new();
    for answer in answers {
        counts.entry(python_repr(&answer)).or_insert((0, answer)).0 += 1;
    }
    let largest = counts.values().map(|(count, _)| *count).max()?;
    counts.into_values().find(|(count, _)| *count == largest).map(|(_, answer)| answer)
}
