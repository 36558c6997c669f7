//! `hellaswag/utils.py`: the beginning and its endings, cleaned of WikiHow's brackets.
//!
//! Columns: `activity_label`, `ctx_a`, `ctx_b`, `endings` (four texts), `label` (the right ending, a text of digits).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, column, text, texts, unfit};
use crate::python::case::capitalize;
use crate::python::text::strip;

/// `process_docs`: adds `query` (`LABEL: BEGINNING`), `choices` (the endings) and `gold` (a number from 0).
pub(super) fn process_docs(document: &mut Columns) -> Result<(), ColumnProblem> {
    let context = format!("{} {}", text(document, "ctx_a")?, capitalize(text(document, "ctx_b")?));
    let query = clean(&format!("{}: {context}", text(document, "activity_label")?));
    let choices: Vec<String> = texts(document, "endings")?.iter().map(|ending| clean(ending)).collect();
    let gold = gold(document)?;
    document.insert("query".to_owned(), Value::from(query));
    document.insert("choices".to_owned(), Value::from(choices));
    document.insert("gold".to_owned(), Value::from(gold));
    Ok(())
}

/// `int(doc["label"])`: a number, or a text that is one.
fn gold(document: &Columns) -> Result<i64, ColumnProblem> {
    let label = column(document, "label")?;
    let number = label.as_i64().or_else(|| strip(label.as_str()?).parse().ok());
    number.ok_or_else(|| unfit("label", "the number of an ending", label))
}

/// `preprocess`: no whitespace at the ends, titles as sentences, no brackets, and each two spaces made one, once.
fn clean(text: &str) -> String {
    without_brackets(&strip(text).replace(" [title]", ". ")).replace("  ", " ")
}

/// `re.sub(r"\[.*?\]", "", text)`: each bracket up to the first that closes it on the same line.
fn without_brackets(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(open) = rest.find('[') {
        let (before, bracket) = rest.split_at(open);
        out.push_str(before);
        match bracket.find([']', '\n']) {
            Some(end) if bracket[end..].starts_with(']') => rest = &bracket[end + 1..],
            _ => {
                out.push('[');
                rest = &bracket[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::regex::PythonRegex;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn brackets_go_as_the_pattern_says(text in r"[\[\]ab \n]{0,24}") {
            let pattern = PythonRegex::new(r"\[.*?\]").map_err(|error| TestCaseError::fail(error.to_string()))?;
            let expected = pattern.replace(&text, "", 0).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(without_brackets(&text), expected);
        }
    }
}
