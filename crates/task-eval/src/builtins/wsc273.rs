//! `wsc273/utils.py`: options in the form that the sentence needs in the pronoun's place.
//!
//! Columns: `text`, `pronoun`, `pronoun_loc` (characters before the pronoun), `options` (two nouns).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, place, text, texts, unfit};
use crate::python::case::lower;
use crate::python::text::split;

/// Pronouns in whose place an option gets `'s`.
const POSSESSIVE: [&str; 5] = ["my", "his", "her", "our", "their"];
/// First words of an option that are lowered where the pronoun does not begin its sentence.
const LOWERED: [&str; 11] = ["A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their"];

/// `process_doc`: single spaces in `text`, and both `options` in the sentence's form.
pub(super) fn process_docs(document: &mut Columns) -> Result<(), ColumnProblem> {
    let sentence = text(document, "text")?.replace("  ", " ");
    let pronoun = lower(text(document, "pronoun")?);
    let is_possessive = POSSESSIVE.contains(&pronoun.as_str());
    let starts_sentence = before_pronoun(&sentence, place(document, "pronoun_loc")?)? == '.';
    let mut options = texts(document, "options")?;
    if options.len() < 2 {
        return Err(unfit("options", "two texts", &Value::from(options)));
    }
    for option in &mut options[..2] {
        if is_possessive {
            option.push_str("'s");
        }
        let first = split(option).next();
        let first = first.ok_or_else(|| unfit("options", "texts that are not empty", &Value::from("")))?;
        if !starts_sentence && LOWERED.contains(&first) {
            *option = option.replace(first, &lower(first));
        }
    }
    document.insert("text".to_owned(), Value::from(sentence));
    document.insert("options".to_owned(), Value::from(options));
    Ok(())
}

/// `text[pronoun_loc - 2]`: a place before the text's beginning counts from its end.
fn before_pronoun(sentence: &str, pronoun_place: usize) -> Result<char, ColumnProblem> {
    let found = match pronoun_place.checked_sub(2) {
        Some(place) => sentence.chars().nth(place),
        None => sentence.chars().rev().nth(1 - pronoun_place),
    };
    found.ok_or_else(|| unfit("pronoun_loc", "a place in the text", &Value::from(pronoun_place)))
}
