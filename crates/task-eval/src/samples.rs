//! The harness's samples: one JSON line per document and filter.
//!
//! A line has the document, the texts of its requests (`arguments`), the answers before and after the filter (`resps`,
//! `filtered_resps`: numbers as Python's text for them), the hashes of document, prompt and target, and what each
//! metric observes.

use serde_json::{Map, Value, json};

use crate::config::{OutputType, TaskConfig};
use crate::error::Error;
use crate::hashes::hashes;
use crate::metrics::Observation;
use crate::preparation::PreparedDocument;
use crate::prepared::PreparedTask;
use crate::python::text::{float_repr, python_str};
use crate::result::{Response, TaskResult};

impl PreparedTask {
    /// The lines of `samples_TASK.jsonl` for a result of this task: all documents of one filter, then of the next.
    ///
    /// # Errors
    /// [`Error::NoSuchDocument`] for a result of another task; [`Error::Filter`] and [`Error::Metric`] as in
    /// evaluating.
    pub fn samples(&self, result: &TaskResult) -> Result<Vec<Value>, Error> {
        let inner = &self.inner;
        let mut observed = Vec::with_capacity(result.documents.len());
        for document in &result.documents {
            let (task, len) = (self.name().to_owned(), self.len());
            let missing = Error::NoSuchDocument { task, index: document.index, len };
            // In the split's order.
            let place = inner.documents.binary_search_by_key(&document.index, |prepared| prepared.index);
            let prepared = place.ok().and_then(|place| inner.documents.get(place)).ok_or(missing)?;
            let filtered = inner.scorer.observe(prepared, &document.responses)?;
            observed.push((prepared, &document.responses, filtered));
        }
        let mut lines = Vec::new();
        for (place, filter) in inner.scorer.filter_names().enumerate() {
            for (prepared, responses, filtered) in &observed {
                let mut line = self.beginning(prepared);
                let answer = filtered[place].answer.as_ref();
                let kept = |response| answer.map_or_else(|| raw(response), Clone::clone);
                line.insert("resps".to_owned(), responses.iter().map(repeats).collect());
                line.insert("filtered_resps".to_owned(), responses.iter().map(kept).collect());
                line.insert("filter".to_owned(), json!(filter));
                let names: Vec<&str> = inner.scorer.metrics().map(|metric| metric.name.as_str()).collect();
                line.insert("metrics".to_owned(), json!(names));
                line.extend(hashes(prepared));
                let values = filtered[place].observations.iter().map(Observation::written);
                line.extend(names.iter().map(|&name| name.to_owned()).zip(values));
                lines.push(Value::Object(line));
            }
        }
        Ok(lines)
    }

    /// The keys that a line begins with, which are the same for all filters.
    fn beginning(&self, document: &PreparedDocument) -> Map<String, Value> {
        Map::from_iter([
            ("doc_id".to_owned(), json!(document.index)),
            ("doc".to_owned(), Value::Object(document.values.clone())),
            ("target".to_owned(), Value::from(python_str(&document.target))),
            ("arguments".to_owned(), arguments(&self.inner.config, document)),
        ])
    }
}

/// The texts of the requests: `gen_args_0` and so on, each with the context as `arg_0` and what belongs to it as
/// `arg_1`.
fn arguments(task: &TaskConfig, document: &PreparedDocument) -> Value {
    let one = |argument: &crate::preparation::RequestTexts| {
        let mut texts = Map::from_iter([("arg_0".to_owned(), Value::from(argument.context.as_str()))]);
        if let Some(continuation) = &argument.continuation {
            texts.insert("arg_1".to_owned(), Value::from(continuation.as_str()));
        } else if task.output_type == OutputType::GenerateUntil {
            texts.insert("arg_1".to_owned(), Value::Object(task.generation.raw.clone()));
        }
        Value::Object(texts)
    };
    let numbered = |(place, argument)| (format!("gen_args_{place}"), one(argument));
    Value::Object(document.arguments.iter().enumerate().map(numbered).collect())
}

/// An answer once per repeat.
fn repeats(response: &Response) -> Value {
    match response {
        Response::Text { texts } => json!(texts),
        once => json!([raw(once)]),
    }
}

/// An answer as the harness writes it: numbers and booleans as Python's text for them.
fn raw(response: &Response) -> Value {
    match response {
        Response::Score { log_likelihood, greedy } => {
            json!([float_repr(*log_likelihood), if *greedy { "True" } else { "False" }])
        }
        Response::Rolling { log_likelihood } => Value::from(float_repr(*log_likelihood)),
        Response::Text { texts } => json!(texts),
    }
}
