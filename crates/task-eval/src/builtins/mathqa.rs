//! `mathqa/utils.py`: five options that are written as one text, in the column `options`.

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, text};

/// `doc_to_choice`: `a ) 38 , b ) 27.675 , c ) 30 , d ) none , e ) 7` taken apart.
pub(super) fn doc_to_choice(document: &Columns) -> Result<Value, ColumnProblem> {
    let found = options(text(document, "options")?);
    // `c[4:].rstrip(" ,")`
    Ok(found.iter().map(|option| option[4..].trim_end_matches([' ', ','])).collect())
}

/// `re.findall(r"[abcd] \) .*?, |e \) .*?$", text)`
fn options(text: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(letter) = rest.chars().next() {
        match length(rest) {
            Some(length) => {
                found.push(&rest[..length]);
                rest = &rest[length..];
            }
            None => rest = &rest[letter.len_utf8()..],
        }
    }
    found
}

/// The length of the option with which the text begins, if it does.
fn length(text: &str) -> Option<usize> {
    let inside = text.get(1..)?.strip_prefix(" ) ")?;
    let line = inside.split('\n').next().unwrap_or_default();
    let more = match text.as_bytes()[0] {
        b'a'..=b'd' => line.find(", ")? + 2,
        // `$` is the text's end, or the line feed that ends it.
        b'e' if matches!(&inside[line.len()..], "" | "\n") => line.len(),
        _ => return None,
    };
    Some(4 + more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::regex::PythonRegex;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn options_are_found_as_the_pattern_finds_them(
            parts in proptest::collection::vec("[a-f] \\) |, |[é,\n ]|x", 0..12),
        ) {
            let text = parts.concat();
            let failed = |error: Box<_>| TestCaseError::fail(format!("{error:?}"));
            let pattern = PythonRegex::new(r"[abcd] \) .*?, |e \) .*?$").map_err(failed)?;
            let found = pattern.find_all(&text).map_err(failed)?;
            let expected: Vec<&str> = found.into_iter().flatten().flatten().collect();
            prop_assert_eq!(options(&text), expected);
        }
    }
}
