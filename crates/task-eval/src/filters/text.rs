//! `remove_whitespace`, `lowercase`, `uppercase`: each answer in other letters.

use serde_json::Value;

use super::Filter;
use crate::config::short;
use crate::error::FilterError;
use crate::python::text::strip;

#[derive(Debug)]
pub(super) enum TextFilter {
    RemoveWhitespace,
    Lowercase,
    Uppercase,
}

impl Filter for TextFilter {
    fn apply(&self, answers: Vec<Value>) -> Result<Vec<Value>, FilterError> {
        let rewrite = |answer: Value| match (answer, self) {
            (Value::String(text), Self::RemoveWhitespace) => Ok(Value::from(strip(&text))),
            (Value::String(text), Self::Lowercase) => Ok(Value::from(text.to_lowercase())),
            (Value::String(text), Self::Uppercase) => Ok(Value::from(text.to_uppercase())),
            (other, _) => Err(FilterError::NotAText { found: short(&other) }),
        };
        answers.into_iter().map(rewrite).collect()
    }
}
