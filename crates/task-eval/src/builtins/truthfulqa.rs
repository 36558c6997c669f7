//! `truthfulqa/utils.py`: how much of the probability the true answers have.
//!
//! Column: `mc2_targets`, an object of `choices` and `labels`, 1 for each choice that is true.

use super::columns::{ColumnProblem, Columns, column, unfit};

/// `process_results_mc2`: which of the choices are true.
pub(super) fn right_choices(document: &Columns) -> Result<Vec<bool>, ColumnProblem> {
    let targets = column(document, "mc2_targets")?;
    let labels =
        targets["labels"].as_array().map(|labels| labels.iter().map(|label| label.as_f64() == Some(1.0)).collect());
    labels.ok_or_else(|| unfit("mc2_targets", "{'choices': [...], 'labels': [...]}", targets))
}
