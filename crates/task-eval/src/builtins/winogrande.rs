//! `winogrande/preprocess_winogrande.py`: one beginning per option, and the same end for both.
//!
//! Columns: `sentence` (with `_` for the blank), `option1`, `option2`, `answer` (the text 1 or 2). The model is asked
//! for the end of the sentence after either beginning, so that both answers have the same text.

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, column, text, unfit};
use crate::python::text::strip;

/// `doc_to_text`: which of the two beginnings is right.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    match text(document, "answer")? {
        "1" => Ok(Value::from(0)),
        "2" => Ok(Value::from(1)),
        _ => Err(unfit("answer", "the text 1 or the text 2", column(document, "answer")?)),
    }
}

/// `doc_to_target`: what follows the blank.
pub(super) fn doc_to_target(document: &Columns) -> Result<Value, ColumnProblem> {
    Ok(Value::from(strip(around_blank(document)?.1)))
}

/// `doc_to_choice`: what stands before the blank, with either option in its place.
pub(super) fn doc_to_choice(document: &Columns) -> Result<Value, ColumnProblem> {
    let before = around_blank(document)?.0;
    let with = |option| Ok(format!("{before}{}", text(document, option)?));
    Ok(Value::from(vec![with("option1")?, with("option2")?]))
}

/// The sentence before and after its first `_`.
fn around_blank(document: &Columns) -> Result<(&str, &str), ColumnProblem> {
    let sentence = text(document, "sentence")?;
    sentence.split_once('_').ok_or_else(|| unfit("sentence", "a sentence with a blank `_`", &Value::from(sentence)))
}
