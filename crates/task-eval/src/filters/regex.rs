//! `regex`: one of the matches of a pattern.

use serde_json::Value;

use super::Filter;
use crate::error::FilterError;
use crate::python::regex::PythonRegex;
use crate::python::text::strip;

#[derive(Debug)]
pub(super) struct RegexFilter {
    /// The pattern as the task writes it.
    written: String,
    pattern: PythonRegex,
    group_select: i64,
    fallback: String,
}

impl RegexFilter {
    pub(super) fn new(
        pattern: &str,
        group_select: i64,
        fallback: &str,
    ) -> Result<Self, (String, Box<fancy_regex::Error>)> {
        let compiled = PythonRegex::new(pattern).map_err(|error| (pattern.to_owned(), error))?;
        Ok(Self { written: pattern.to_owned(), pattern: compiled, group_select, fallback: fallback.to_owned() })
    }

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

impl Filter for RegexFilter {
    fn apply(&self, answers: Vec<Value>) -> Result<Vec<Value>, FilterError> {
        // What a `map` before made of an answer may be no text; the harness then reads an empty one.
        answers.into_iter().map(|answer| self.pick(answer.as_str().unwrap_or_default()).map(Value::from)).collect()
    }
}
