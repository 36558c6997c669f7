//! `super_glue/wsc/preprocess_wsc.py`: a passage with its pronoun between asterisks.
//!
//! Columns: `text`, `span1_text` (the noun), `span2_text` (the pronoun), `span2_index` (the words before the pronoun).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, place, text};
use crate::python::text::split;

/// `default_doc_to_text`; the spans count words.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let (passage, pronoun, noun) = marked(document)?;
    Ok(Value::from(format!(
        "Passage: {passage}\n\
         Question: In the passage above, does the pronoun \"*{pronoun}*\" refer to \"*{noun}*\"?\n\
         Answer:"
    )))
}

/// `default_doc_to_text` of auto-merge-llm's `wsc_custom/utils.py`: the question in OpenCompass's words.
pub(super) fn custom_doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let (passage, pronoun, noun) = marked(document)?;
    Ok(Value::from(format!(
        "Passage: {passage}\nDoes the pronoun # {pronoun} # refer to * {noun} *?\nA. Yes\nB. No\nAnswer: \n"
    )))
}

/// The passage with its pronoun between asterisks, the pronoun and the noun.
fn marked(document: &Columns) -> Result<(String, &str, &str), ColumnProblem> {
    let (passage, pronoun) = (text(document, "text")?, text(document, "span2_text")?);
    let words = split(passage).take(place(document, "span2_index")?);
    let before = words.collect::<Vec<_>>().join(" ");
    let skipped = before.chars().count() + pronoun.chars().count() + 1;
    let after: String = passage.chars().skip(skipped).collect();
    Ok((detokenized(&format!("{before} *{pronoun}*{after}")), pronoun, text(document, "span1_text")?))
}

/// `lm_eval.utils.general_detokenize`: takes back the spaces around punctuation.
fn detokenized(text: &str) -> String {
    let text = text.replace(" n't", "n't").replace(" )", ")").replace("( ", "(");
    let text = text.replace("\" ", "\"").replace(" \"", "\"");
    // `re.sub(r" (['.,])", r"\1", text)`
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let goes = c == ' ' && characters.peek().is_some_and(|next| matches!(next, '\'' | '.' | ','));
        if !goes {
            out.push(c);
        }
    }
    out
}
