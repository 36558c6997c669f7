//! Reading a document's columns, with errors that name the column.

use serde_json::{Map, Value};

use crate::error::short;

/// A document's columns.
pub(crate) type Columns = Map<String, Value>;

/// What a built-in function misses in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnProblem {
    /// A column that is not there, or null.
    #[error("the document has no column `{column}`")]
    Missing {
        /// Its name.
        column: &'static str,
    },
    /// A column with another content than the task's data have.
    #[error("the column `{column}` should be {expected}, but is {found}")]
    Unfit {
        /// Its name.
        column: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// A column's value.
///
/// # Errors
/// [`ColumnProblem::Missing`] if it is not there or null.
pub(super) fn column<'a>(document: &'a Columns, column: &'static str) -> Result<&'a Value, ColumnProblem> {
    document.get(column).filter(|value| !value.is_null()).ok_or(ColumnProblem::Missing { column })
}

/// The error of a column that should be something else; what is there is cut where it gets long.
pub(super) fn unfit(column: &'static str, expected: &'static str, found: &Value) -> ColumnProblem {
    ColumnProblem::Unfit { column, expected, found: short(found) }
}

/// A column that is a text.
///
/// # Errors
/// As [`column`]; [`ColumnProblem::Unfit`] if it is something else. So have the functions below.
pub(super) fn text<'a>(document: &'a Columns, name: &'static str) -> Result<&'a str, ColumnProblem> {
    let value = column(document, name)?;
    value.as_str().ok_or_else(|| unfit(name, "a text", value))
}

/// A whole number, 0 or more.
pub(super) fn place(document: &Columns, name: &'static str) -> Result<usize, ColumnProblem> {
    let value = column(document, name)?;
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| unfit(name, "a whole number, 0 or more", value))
}

/// A list of texts.
pub(super) fn texts(document: &Columns, name: &'static str) -> Result<Vec<String>, ColumnProblem> {
    let value = column(document, name)?;
    let texts = value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    texts.ok_or_else(|| unfit(name, "a list of texts", value))
}
