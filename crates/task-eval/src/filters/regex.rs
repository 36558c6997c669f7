//! `regex`: one of the matches of a pattern.
//!
//! What is found is what Python's `re.findall(regex_pattern, answer)[group_select]` has, without whitespace at its
//! ends:
//!
//! - without groups in the pattern, the whole match;
//! - with one group, that group, empty if it took no part;
//! - with several, the first that is not empty, or `fallback` if all are.
//!
//! Without a match it is `fallback`, `[invalid]` by default. A `group_select` beyond the matches is an error, as it
//! stops the harness, too; a negative one counts from the end.

use tailor_registry::{Parameter, Settings};

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::{FilterError, SetupError};
use crate::python::regex::PythonRegex;
use crate::python::text::strip;

/// lm-evaluation-harness's default: GSM8K's answers.
const DEFAULT_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";

/// The harness's `regex`, which takes numbers out of worked answers.
#[derive(Debug)]
pub(super) struct Regex;

entry!(
    Regex,
    "regex",
    "What a pattern finds in each answer: its group, or of several the first that is not empty.",
    &[
        Parameter::text("regex_pattern", "The pattern, in the flavour of Python's `re`.")
            .with_default_text(DEFAULT_PATTERN),
        Parameter::integer("group_select", i64::MIN, i64::MAX, "Which match, from 0; from the end, if negative.")
            .with_default_integer(0),
        Parameter::text("fallback", "The answer where there is no match.").with_default_text("[invalid]"),
    ]
);

impl Filter for Regex {
    fn step(&self, settings: &Settings) -> Result<FilterStep, SetupError> {
        let written = settings.text("regex_pattern")?.to_owned();
        let compiled = PythonRegex::new(&written);
        let pattern = compiled.map_err(|source| SetupError::Pattern { pattern: written.clone(), source })?;
        let picker = Picker {
            written,
            pattern,
            group_select: settings.integer("group_select")?,
            fallback: settings.text("fallback")?.to_owned(),
        };
        // What a `map` before made of an answer may be no text; the harness then reads an empty one.
        Ok(Box::new(move |answers| {
            answers.iter().map(|answer| picker.pick(answer.as_str().unwrap_or_default()).map(Into::into)).collect()
        }))
    }
}

/// The filter with its parameters.
struct Picker {
    /// The pattern as the task writes it.
    written: String,
    pattern: PythonRegex,
    /// From 0; from the end, if negative.
    group_select: i64,
    /// The answer where nothing is found.
    fallback: String,
}

impl Picker {
    /// What the filter makes of one answer.
    ///
    /// # Errors
    /// [`FilterError::PatternGivesUp`] and [`FilterError::TooFewMatches`].
    fn pick(&self, answer: &str) -> Result<String, FilterError> {
        let gives_up = |source| FilterError::PatternGivesUp { pattern: self.written.clone(), source };
        let matches = self.pattern.find_all(answer).map_err(gives_up)?;
        if matches.is_empty() {
            return Ok(self.fallback.clone());
        }
        let place = if self.group_select < 0 {
            self.group_select + i64::try_from(matches.len()).unwrap_or(i64::MAX)
        } else {
            self.group_select
        };
        let Some(groups) = usize::try_from(place).ok().and_then(|place| matches.get(place)) else {
            return Err(FilterError::TooFewMatches { found: matches.len(), group_select: self.group_select });
        };
        Ok(match groups.as_slice() {
            // One group that took no part is an empty match, not a missing one.
            [one] => strip(one.unwrap_or_default()).to_owned(),
            several => match several.iter().flatten().find(|group| !group.is_empty()) {
                Some(group) => strip(group).to_owned(),
                None => self.fallback.clone(),
            },
        })
    }
}
