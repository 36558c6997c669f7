//! `get_code`: the program in an answer that says more than that.
//!
//! What auto-merge-llm takes out of its models' answers to MBPP, step by step:
//!
//! 1. what follows the last `### Response:`, its tabs as four spaces, without whitespace at the ends;
//! 2. of a block between ```` ```python ```` and ```` ``` ````, the inside; without an end, all that follows;
//! 3. nothing from `if __name__ == "__main__":`, `# Example usage` or `# Test examples` on;
//! 4. of what `The solution is:` or `The answer is:` announces, that, up to a blank line and `The answer is:`.
//!
//! The reference's filter takes a Python function instead (`filter_fn`); this is the one that its MBPP has.

use serde_json::Value;
use tailor_registry::Settings;

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::{FilterError, SetupError, short};
use crate::python::text::strip;

/// The program in each answer.
#[derive(Debug)]
pub(super) struct GetCode;

entry!(GetCode, "get_code", "The program in each answer, without what is said around it.");

impl Filter for GetCode {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        let one = |answer: Value| match answer {
            Value::String(text) => Ok(Value::from(code(&text))),
            other => Err(FilterError::NotAText { found: short(&other) }),
        };
        Ok(Box::new(move |answers| answers.into_iter().map(one).collect()))
    }
}

/// The program in an answer.
fn code(answer: &str) -> String {
    const FENCE: &str = "```python";
    let behind = answer.rsplit("### Response:").next().unwrap_or_default();
    let mut text = strip(&behind.replace('\t', "    ")).to_owned();
    if let Some((_, block)) = text.split_once(FENCE) {
        let block = block.replace(FENCE, "");
        text = block.split_once("\n```").map_or(&*block, |(inside, _)| strip(inside)).to_owned();
    }
    for (sign, end) in [
        ("__name__ == \"__main__\"", "if __name__ == \"__main__\":"),
        ("# Example usage", "# Example usage"),
        ("# Test examples", "# Test examples"),
    ] {
        if text.contains(sign)
            && let Some((before, _)) = text.split_once(end)
        {
            text = strip(before).to_owned();
        }
    }
    for phrase in ["The solution is:", "The answer is:"] {
        if let Some((_, announced)) = text.split_once(phrase) {
            let announced = announced.replace(phrase, "");
            let end = announced.split_once("\n\nThe answer is:").map(|(before, _)| before);
            text = strip(end.unwrap_or(&announced)).to_owned();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// auto-merge-llm's `extract_answer_number` of `custom_tasks/mbpp/utils.py` on Python 3.11.
    #[test]
    fn code_is_that_of_the_reference() {
        for (answer, expected) in [
            ("def f():\n\treturn 1", "def f():\n    return 1"),
            ("a\n### Response: b\n### Response:\n c ", "c"),
            ("Sure:\n```python\nx = 1\n```\nThat is it.", "x = 1"),
            ("```python\nx = 1", "\nx = 1"),
            ("x = 1\nif __name__ == \"__main__\":\n    f()", "x = 1"),
            ("x = 1\nif (__name__ == \"__main__\"):\n    f()", "x = 1\nif (__name__ == \"__main__\"):\n    f()"),
            ("x = 1\n# Example usage\nf()", "x = 1"),
            ("x = 1\n# Test examples:\nf()", "x = 1"),
            ("So. The solution is:\nx = 1\n\nThe answer is: 3", "x = 1"),
            ("The answer is: x = 1", "x = 1"),
            ("", ""),
        ] {
            assert_eq!(code(answer), expected, "{answer:?}");
        }
    }
}
