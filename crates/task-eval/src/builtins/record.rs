//! `super_glue/record/util.py`: a news passage, and a sentence in which one of its entities is missing.
//!
//! Columns: `passage`, `query` (with `@placeholder`), `entities` (the candidates), `answers` (those of them that are
//! right).

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, text, texts, unfit};
use crate::metrics::{self, Agreement};
use crate::python::text::strip;

/// `process_docs`: `entities` and `answers` sorted, each once.
pub(super) fn process_docs(document: &mut Columns) -> Result<(), ColumnProblem> {
    for name in ["entities", "answers"] {
        let mut names = texts(document, name)?;
        names.sort_unstable();
        names.dedup();
        document.insert(name.to_owned(), Value::from(names));
    }
    Ok(())
}

/// `doc_to_text`: the passage, and its highlights as a list that the choices go on with.
pub(super) fn doc_to_text(document: &Columns) -> Result<Value, ColumnProblem> {
    let mut parts = strip(text(document, "passage")?).split("\n@highlight\n");
    let mut prompt = format!("{}\n\n", parts.next().unwrap_or_default());
    for highlight in parts {
        prompt.push_str(&format!("  - {highlight}.\n"));
    }
    Ok(Value::from(prompt))
}

/// `doc_to_target`: the sentence with the first right entity.
pub(super) fn doc_to_target(document: &Columns) -> Result<Value, ColumnProblem> {
    let answers = texts(document, "answers")?;
    let first = answers.first().ok_or_else(|| unfit("answers", "one entity or more", &Value::Array(Vec::new())))?;
    Ok(Value::from(filled_in(text(document, "query")?, first)))
}

/// `doc_to_choice`: the sentence with each entity.
pub(super) fn doc_to_choice(document: &Columns) -> Result<Value, ColumnProblem> {
    let query = text(document, "query")?;
    Ok(texts(document, "entities")?.iter().map(|entity| filled_in(query, entity)).collect())
}

/// `process_results`: how far each entity agrees with the right one that is nearest to it.
pub(super) fn agreement(document: &Columns) -> Result<Vec<Agreement>, ColumnProblem> {
    let answers = texts(document, "answers")?;
    Ok(texts(document, "entities")?.iter().map(|entity| metrics::agreement(entity, &answers)).collect())
}

/// The sentence as one more highlight, with an entity in the place of the gap.
fn filled_in(query: &str, entity: &str) -> String {
    format!("  - {query}").replace("@placeholder", entity)
}
