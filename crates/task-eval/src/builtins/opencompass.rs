//! What OpenCompass's loaders of data sets do beyond reading: functions of our own tasks, not of the harness.

use serde_json::Value;

use super::columns::{ColumnProblem, Columns, place, text};

/// `CMNLIDataset`: documents that the annotators agreed on. The label of the others is `-`, or -1 on the hub.
pub(super) fn labelled(mut documents: Vec<Columns>) -> Vec<Columns> {
    let agreed = |label: &Value| label.as_i64().map_or_else(|| label.as_str() != Some("-"), |number| number >= 0);
    documents.retain(|document| document.get("label").is_some_and(|label| !label.is_null() && agreed(label)));
    documents
}

/// `XsumDataset`: the first 1000 documents, of these the ones with a text (`document`) and a `summary`.
pub(super) fn first_summaries(mut documents: Vec<Columns>) -> Vec<Columns> {
    documents.truncate(1000);
    let is_text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    documents.retain(|document| is_text(document.get("document")) && is_text(document.get("summary")));
    documents
}

/// `WSCDatasetV3`: adds `marked`, the `text` with its noun between asterisks and its pronoun between hashes. The
/// columns `span1_index` and `span2_index` count words between single spaces; where the two overlap, the noun wins.
pub(super) fn mark_spans(document: &mut Columns) -> Result<(), ColumnProblem> {
    let span = |document: &Columns, index, name| -> Result<_, ColumnProblem> {
        let (start, words) = (place(document, index)?, text(document, name)?);
        Ok((start..start.saturating_add(words.split(' ').count()), words.to_owned()))
    };
    let (noun_at, noun) = span(document, "span1_index", "span1_text")?;
    let (pronoun_at, pronoun) = span(document, "span2_index", "span2_text")?;
    let mut words = Vec::new();
    for (index, word) in text(document, "text")?.split(' ').enumerate() {
        if noun_at.contains(&index) {
            words.extend((index == noun_at.start).then(|| format!("* {noun} *")));
        } else if pronoun_at.contains(&index) {
            words.extend((index == pronoun_at.start).then(|| format!("# {pronoun} #")));
        } else {
            words.push(word.to_owned());
        }
    }
    document.insert("marked".to_owned(), Value::from(words.join(" ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn documents(rows: Value) -> Vec<Columns> {
        rows.as_array().into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect()
    }

    #[test]
    fn what_nobody_agreed_on_is_left_out() {
        let rows =
            documents(json!([{"label": 0}, {"label": -1}, {"label": "-"}, {"label": "neutral"}, {"label": null}, {}]));
        assert_eq!(labelled(rows), documents(json!([{"label": 0}, {"label": "neutral"}])));
    }

    #[test]
    fn at_most_a_thousand_summaries_are_kept() {
        let mut rows = vec![json!({"document": "a", "summary": "b"}); 1001];
        rows[3] = json!({"document": "a", "summary": ""});
        assert_eq!(first_summaries(documents(Value::from(rows))).len(), 999);
    }
}
