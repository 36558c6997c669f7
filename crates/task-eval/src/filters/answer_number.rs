//! `get_answer`, `get_answer_zh`, `get_answer_ja`: the whole number that a worked answer ends with.
//!
//! Filters of auto-merge-llm, whose searches score GSM8K and GSM-Plus by them. Of an answer that says `The answer is: `
//! (`答案是：`, of the other two), what follows the last of these counts, and of that the first match of
//! `[\-+]?\d*[\.,/]?\d+`:
//!
//! - a fraction is divided, unless its denominator is 0, which counts as 1;
//! - a comma is dropped;
//! - the number is rounded to a whole one, a half to the even one.
//!
//! Slips included, as scores need it: of `1,234,567` the match is `1,234`. `[invalid]` stands for an answer without the
//! phrase, without a number behind it, or with one that is no number. They end a pipeline: the first repeat's answer
//! counts.

use serde_json::Value;
use tailor_registry::Settings;

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::{FilterError, SetupError, short};
use crate::python::regex::PythonRegex;
use crate::python::text::{decimal_value, strip};

/// What a number looks like: at most one of a point, a comma and a slash.
const NUMBER: &str = r"[\-+]?\d*[\.,/]?\d+";
/// What stands for an answer without a number.
const INVALID: &str = "[invalid]";

/// One row for each phrase that announces the number.
#[derive(Debug)]
pub(super) struct AnswerNumber {
    pub name: &'static str,
    pub summary: &'static str,
    pub phrase: &'static str,
}

entry!(AnswerNumber);

pub(super) const GET_ANSWER: AnswerNumber = AnswerNumber {
    name: "get_answer",
    summary: "The whole number after the last `The answer is: `; ends a pipeline.",
    phrase: "The answer is: ",
};

pub(super) const GET_ANSWER_ZH: AnswerNumber = AnswerNumber {
    name: "get_answer_zh",
    summary: "The whole number after the last `答案是：`; ends a pipeline.",
    phrase: "答案是：",
};

/// The reference looks for the Chinese phrase here as well.
pub(super) const GET_ANSWER_JA: AnswerNumber = AnswerNumber {
    name: "get_answer_ja",
    summary: "The same as get_answer_zh: the reference looks for the Chinese phrase here, too.",
    phrase: "答案是：",
};

impl Filter for AnswerNumber {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        let compiled = PythonRegex::new(NUMBER);
        let pattern = compiled.map_err(|source| SetupError::Pattern { pattern: NUMBER.to_owned(), source })?;
        let phrase = self.phrase;
        Ok(Box::new(move |answers| {
            let Some(first) = answers.into_iter().next() else {
                return Err(FilterError::TooFewAnswers { needed: 1, found: 0 });
            };
            let Value::String(answer) = &first else { return Err(FilterError::NotAText { found: short(&first) }) };
            let number = announced_number(answer, phrase, &pattern)?;
            Ok(vec![Value::from(number.unwrap_or_else(|| INVALID.to_owned()))])
        }))
    }

    fn leaves_one(&self) -> bool {
        true
    }
}

/// The number behind the last `phrase`, rounded; None if there is none.
fn announced_number(answer: &str, phrase: &str, pattern: &PythonRegex) -> Result<Option<String>, FilterError> {
    let Some((_, behind)) = answer.rsplit_once(phrase) else { return Ok(None) };
    let gives_up = |source| FilterError::PatternGivesUp { pattern: NUMBER.to_owned(), source };
    let matches = pattern.find_all(strip(behind)).map_err(gives_up)?;
    let found = matches.first().and_then(|groups| groups.first().copied().flatten());
    Ok(found.and_then(rounded))
}

/// The text of the whole number that is nearest to the match.
fn rounded(found: &str) -> Option<String> {
    let digits: String =
        found.chars().map(|c| decimal_value(c).and_then(|value| char::from_digit(value, 10)).unwrap_or(c)).collect();
    let plain = digits.replace(',', "");
    let number = match plain.split_once('/') {
        // Spelled so, and in no other way.
        Some((numerator, "0")) => numerator.parse().ok()?,
        Some((numerator, denominator)) => numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?,
        None => plain.parse::<f64>().ok()?,
    };
    // Adding 0 turns -0 into 0, as Python's whole numbers have it.
    number.is_finite().then(|| format!("{:.0}", number.round_ties_even() + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// auto-merge-llm's `extract_answer_number` on Python 3.11.
    #[test]
    fn numbers_are_those_of_the_reference() -> Result<(), Box<dyn std::error::Error>> {
        let pattern = PythonRegex::new(NUMBER)?;
        for (answer, expected) in [
            ("The answer is: 42", Some("42")),
            ("The answer is: 1. No. The answer is: $1,234 dollars.", Some("1234")),
            ("The answer is: 1,234,567", Some("1234")),
            ("The answer is: 2.5", Some("2")),
            ("The answer is: 3.5", Some("4")),
            ("The answer is: -0.4", Some("0")),
            ("The answer is: -7", Some("-7")),
            ("The answer is: +7", Some("7")),
            ("The answer is: 3/2", Some("2")),
            ("The answer is: 5/2", Some("2")),
            ("The answer is: 7/0", Some("7")),
            ("The answer is: 7/00", None),
            ("The answer is: /5", None),
            ("The answer is: .5", Some("0")),
            ("The answer is: 12345678901234567890", Some("12345678901234567168")),
            ("The answer is: ４２", Some("42")),
            ("The answer is: none", None),
            ("The answer is 42", None),
            ("", None),
        ] {
            let ours = announced_number(answer, GET_ANSWER.phrase, &pattern)?;
            assert_eq!(ours.as_deref(), expected, "{answer}");
        }
        let overflow = format!("The answer is: {}", "9".repeat(400));
        assert_eq!(announced_number(&overflow, GET_ANSWER.phrase, &pattern)?, None);
        let chinese = announced_number("所以答案是：18。", GET_ANSWER_ZH.phrase, &pattern)?;
        assert_eq!(chinese.as_deref(), Some("18"));
        Ok(())
    }
}
