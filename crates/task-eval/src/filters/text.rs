//! `remove_whitespace`, `lowercase`, `uppercase`: each answer in other letters.

use serde_json::Value;

use super::{Filter, Refusal};
use crate::python::text::strip;

#[derive(Debug)]
pub(super) enum TextFilter {
    RemoveWhitespace,
    Lowercase,
    Uppercase,
}

impl Filter for TextFilter {
    fn apply(&self, answers: Vec<Value>) -> Result<Vec<Value>, Refusal> {
        let rewrite = |answer: Value| match (answer, self) {
            (Value::String(text), Self::RemoveWhitespace) => Ok(Value::from(strip(&text))),
            (Value::String(text), Self::Lowercase) => Ok(Value::from(text.to_lowercase())),
            (Value::String(text), Self::Uppercase) => Ok(Value::from(text.to_uppercase())),
            _ => Err(Refusal { filter: self.name(), problem: "needs a text, but a `map` before gave something else" }),
        };
        answers.into_iter().map(rewrite).collect()
    }
}

impl TextFilter {
    fn name(&self) -> &'static str {
        match self {
            Self::RemoveWhitespace => "remove_whitespace",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }
}
