//! `humaneval/utils.py`: the function whose beginning is the prompt.
//!
//! Column: `prompt`.

use super::columns::{ColumnProblem, Columns, text};

/// `build_predictions`: the prompt and what the model wrote after it.
pub(super) fn build_predictions(document: &Columns, answer: &str) -> Result<String, ColumnProblem> {
    Ok(format!("{}{answer}", text(document, "prompt")?))
}
