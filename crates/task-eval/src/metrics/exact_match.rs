//! `exact_match`: is the answer the gold one, after what a task says to ignore?

use serde::{Deserialize, Serialize};

use crate::error::MetricError;
use crate::python::regex::PythonRegex;

/// What `exact_match` ignores, as the keys of its entry in `metric_list` say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactMatchOptions {
    /// What these patterns match is deleted, one after the other.
    pub regexes_to_ignore: Vec<String>,
    /// Both are lower-cased.
    pub ignore_case: bool,
    /// The 32 ASCII punctuation marks are deleted.
    pub ignore_punctuation: bool,
    /// The ASCII digits are deleted.
    pub ignore_numbers: bool,
}

/// [`ExactMatchOptions`] ready to compare.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExactMatch {
    /// Each with the text that it was compiled from.
    patterns: Vec<(String, PythonRegex)>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
}

impl ExactMatch {
    pub(crate) fn new(options: &ExactMatchOptions) -> Result<Self, (String, Box<fancy_regex::Error>)> {
        let compile = |pattern: &String| match PythonRegex::new(pattern) {
            Ok(compiled) => Ok((pattern.clone(), compiled)),
            Err(error) => Err((pattern.clone(), error)),
        };
        Ok(Self {
            patterns: options.regexes_to_ignore.iter().map(compile).collect::<Result<_, _>>()?,
            ignore_case: options.ignore_case,
            ignore_punctuation: options.ignore_punctuation,
            ignore_numbers: options.ignore_numbers,
        })
    }

    pub(crate) fn matches(&self, answer: &str, gold: &str) -> Result<bool, MetricError> {
        let (answer, gold) = (self.normalise(answer)?, self.normalise(gold)?);
        // The harness compares NumPy strings, which end before trailing NULs.
        Ok(answer.trim_end_matches('\0') == gold.trim_end_matches('\0'))
    }

    /// Whether the answer is one of the golds.
    pub(crate) fn matches_any(&self, answer: &str, golds: &[String]) -> Result<bool, MetricError> {
        for gold in golds {
            if self.matches(answer, gold)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

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
