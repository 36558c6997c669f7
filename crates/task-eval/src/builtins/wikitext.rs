//! `wikitext/preprocess_wikitext.py`: pages without the spaces of their tokeniser, measured by the words they had
//! before.
//!
//! Column: `page`. The model reads the page as people write it; words and bytes are counted in the page as WikiText has
//! it, so that perplexities compare with those of models that read WikiText's tokens.

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, text};

/// `doc_to_target` (`wikitext_detokenizer`): takes back the spaces around punctuation, brackets, quotes and headings.
///
/// The replacements stand in the harness's order, which matters: each sees what those before it made.
pub(super) fn detokenized(document: &Columns) -> Result<Value, ColumnProblem> {
    let mut page = text(document, "page")?.replace("s '", "s'");
    page = without_space_before_digit(&page);
    for (from, to) in [
        (" @-@ ", "-"),
        (" @,@ ", ","),
        (" @.@ ", "."),
        (" : ", ": "),
        (" ; ", "; "),
        (" . ", ". "),
        (" ! ", "! "),
        (" ? ", "? "),
        (" , ", ", "),
    ] {
        page = page.replace(from, to);
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}'), ('"', '"'), ('\'', '\'')] {
        page = tight_inside(&page, open, close);
    }
    for (from, to) in [
        ("= = = =", "===="),
        ("= = =", "==="),
        ("= =", "=="),
        (" \u{b0} ", "\u{b0}"),
        (" \n", "\n"),
        ("\n ", "\n"),
        (" N ", " 1 "),
        (" 's", "'s"),
    ] {
        page = page.replace(from, to);
    }
    Ok(Value::from(page))
}

/// `process_results`: words and bytes are those of the page as it is.
pub(super) fn counted_text(document: &Columns) -> Result<String, ColumnProblem> {
    text(document, "page").map(str::to_owned)
}

/// `re.sub(r"/' [0-9]/", r"/'[0-9]/", page)`: a slip in the harness, which writes the pattern instead of the digit.
fn without_space_before_digit(page: &str) -> String {
    const PATTERN: &str = "/' ";
    let (mut out, mut rest) = (String::with_capacity(page.len()), page);
    while let Some(found) = rest.find(PATTERN) {
        let after = &rest[found + PATTERN.len()..];
        out.push_str(&rest[..found]);
        match after.as_bytes() {
            [b'0'..=b'9', b'/', ..] => {
                out.push_str("/'[0-9]/");
                rest = &after[2..];
            }
            _ => {
                out.push('/');
                rest = &rest[found + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// `re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)", page)` and its like: no whitespace after `open` and before the next
/// `close`.
fn tight_inside(page: &str, open: char, close: char) -> String {
    let (mut out, mut rest) = (String::with_capacity(page.len()), page);
    while let Some(start) = rest.find(open) {
        let inside = start + open.len_utf8();
        let Some(length) = rest[inside..].find(close) else { break };
        out.push_str(&rest[..inside]);
        out.push_str(crate::python::text::strip(&rest[inside..inside + length]));
        out.push(close);
        rest = &rest[inside + length + close.len_utf8()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::regex::PythonRegex;
    use proptest::prelude::*;

    fn by_pattern(pattern: &str, with: &str, text: &str) -> Result<String, TestCaseError> {
        let failed = |error: Box<_>| TestCaseError::fail(format!("{error:?}"));
        PythonRegex::new(pattern).map_err(failed)?.replace(text, with, 0).map_err(failed)
    }

    proptest! {
        #[test]
        fn brackets_and_quotes_are_tightened_as_the_patterns_say(text in "[()'a \n]{0,24}") {
            let expected = by_pattern(r"\(\s*([^\)]*?)\s*\)", r"(\1)", &text)?;
            prop_assert_eq!(tight_inside(&text, '(', ')'), expected);
            let expected = by_pattern(r"'\s*([^']*?)\s*'", r"'\1'", &text)?;
            prop_assert_eq!(tight_inside(&text, '\'', '\''), expected);
        }

        #[test]
        fn the_slip_is_kept(text in "[/' 7]{0,24}") {
            let expected = by_pattern(r"/' [0-9]/", r"/'[0-9]/", &text)?;
            prop_assert_eq!(without_space_before_digit(&text), expected);
        }
    }
}
