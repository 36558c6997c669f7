//! `super_glue/copa/utils.py`: a premise, because or therefore, and one of two sentences.
//!
//! Columns: `premise`, `question` (`cause` or `effect`), `choice1`, `choice2`, `label` (0 or 1).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, column, text, unfit};
use crate::python::case::lower;
use crate::python::text::strip;

/// `doc_to_text`: the premise without its full stop, and the connector.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let connector = match text(document, "question")? {
        "cause" => "because",
        "effect" => "therefore",
        other => return Err(unfit("question", "cause or effect", &Value::from(other))),
    };
    let mut premise = strip(text(document, "premise")?).chars();
    premise.next_back();
    Ok(Value::from(format!("{} {connector}", premise.as_str())))
}

/// `doc_to_target`: the right choice as `doc_to_choice` writes it.
pub(super) fn doc_to_target(document: &Columns) -> Result<Value, ColumnProblem> {
    let label = column(document, "label")?;
    // As in Python, `False` is 0.
    let is_first = label.as_f64() == Some(0.0) || label == &Value::Bool(false);
    continued(document, if is_first { "choice1" } else { "choice2" }).map(Value::from)
}

/// `doc_to_choice`: both choices, each as it goes on after the connector.
pub(super) fn doc_to_choice(document: &Columns) -> Result<Value, ColumnProblem> {
    Ok(Value::from(vec![continued(document, "choice1")?, continued(document, "choice2")?]))
}

/// A space and the choice, its first letter in lower case.
fn continued(document: &Columns, name: &'static str) -> Result<String, ColumnProblem> {
    let choice = text(document, name)?;
    let first = choice.chars().next().ok_or_else(|| unfit(name, "a text that is not empty", &Value::from(choice)))?;
    let (first, rest) = choice.split_at(first.len_utf8());
    Ok(format!(" {}{rest}", lower(first)))
}
