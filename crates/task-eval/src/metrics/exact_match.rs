//! `exact_match`: is the answer the gold one, after what a task says to ignore?

use serde::{Deserialize, Serialize};

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
    patterns: Vec<PythonRegex>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
}

impl ExactMatch {
    pub(crate) fn new(options: &ExactMatchOptions) -> Result<Self, (String, Box<fancy_regex::Error>)> {
        let compile = |pattern: &String| PythonRegex::new(pattern).map_err(|error| (pattern.clone(), error));
        Ok(Self {
            patterns: options.regexes_to_ignore.iter().map(compile).collect::<Result<_, _>>()?,
            ignore_case: options.ignore_case,
            ignore_punctuation: options.ignore_punctuation,
            ignore_numbers: options.ignore_numbers,
        })
    }

    pub(crate) fn matches(&self, answer: &str, gold: &str) -> bool {
        let (answer, gold) = (self.normalise(answer), self.normalise(gold));
        // The harness compares NumPy strings, which end before trailing NULs.
        answer.trim_end_matches('\0') == gold.trim_end_matches('\0')
    }

    fn normalise(&self, text: &str) -> String {
        let mut text = self.patterns.iter().fold(text.to_owned(), |text, pattern| pattern.replace(&text, "", 0));
        if self.ignore_case {
            text = lower(&text);
        }
        if self.ignore_punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        text
    }
}

/// NumPy's `lower`: as many characters as before, so what grows in lower case is cut at the old length.
fn lower(text: &str) -> String {
    text.to_lowercase().chars().take(text.chars().count()).collect()
}
