//! `logiqa/utils_logiqa.py`: a passage, a question, and its options by letters.
//!
//! Columns: `context`, `question`, `options` (four texts), `label` (a letter, a to d).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, text, texts, unfit};
use crate::python::text::strip;

/// `doc_to_text`: the passage, the question, the options after A to D, and `Answer:`.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let (passage, question) = (text(document, "context")?, text(document, "question")?);
    let mut prompt = format!("Passage: {passage}\nQuestion: {question}\nChoices:\n");
    for (letter, option) in ["A", "B", "C", "D"].iter().zip(texts(document, "options")?) {
        prompt.push_str(&format!("{letter}. {option}\n"));
    }
    Ok(Value::from(prompt + "Answer:"))
}

/// `doc_to_target`: the place of the label's letter.
pub(super) fn doc_to_target(document: &Columns) -> Result<Value, ColumnProblem> {
    let label = text(document, "label")?;
    let place = ["a", "b", "c", "d"].iter().position(|letter| *letter == strip(label));
    place.map(Value::from).ok_or_else(|| unfit("label", "a letter, a to d", &Value::from(label)))
}
