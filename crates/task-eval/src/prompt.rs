//! The text of a prompt: description, shots, question.

use serde_json::Value;

use crate::dataset::Document;
use crate::document::{Reader, Row, index_into, is_int};
use crate::error::Error;
use crate::python::text::is_space;

/// What stands in a prompt besides the shots and the question.
pub(crate) struct PromptWriter<'a, 'b> {
    reader: &'b Reader<'a>,
    system_instruction: Option<&'b str>,
    /// Whether a document has one question per choice, and one answer for all.
    several_inputs: bool,
}

impl<'a, 'b> PromptWriter<'a, 'b> {
    pub(crate) fn new(reader: &'b Reader<'a>, system_instruction: Option<&'b str>, several_inputs: bool) -> Self {
        Self { reader, system_instruction, several_inputs }
    }

    /// Everything before the evaluated document's question.
    pub(crate) fn beginning(&self, row: Row<'_>, shots: &[Document]) -> Result<String, Error> {
        let task = self.reader.task();
        let description = self.reader.plain("description", &task.description, row)?;
        let system = self.system_instruction.unwrap_or_default();
        let mut text = joined(system, &description, &task.fewshot_delimiter);
        for shot in shots {
            text.push_str(&self.shot(Row { document: shot, index: row.index })?);
        }
        Ok(text)
    }

    /// The evaluated document's question, with the beginning of the answer if the task gives it.
    pub(crate) fn question(&self, question: &str, row: Row<'_>) -> Result<String, Error> {
        let task = self.reader.task();
        match &task.gen_prefix {
            None => Ok(question.to_owned()),
            Some(prefix) => {
                let prefix = self.reader.plain("gen_prefix", prefix, row)?;
                Ok(joined(question, &prefix, &task.target_delimiter))
            }
        }
    }

    fn shot(&self, row: Row<'_>) -> Result<String, Error> {
        let (reader, config) = (self.reader, &self.reader.task().fewshot);
        let sources = reader.shot_sources();
        let choices = reader.choices(sources, row)?;
        let text = reader.text(sources, row)?;
        let target = reader.target(sources, row)?;
        let (question, answer) = if self.several_inputs {
            let choices = choices.unwrap_or_default();
            let place = index_into(&text, choices.len())
                .ok_or_else(|| reader.bad("doc_to_text", "a choice's number", &text, row))?;
            (choices[place].clone(), self.answer(&target, None, row)?)
        } else {
            (crate::python::text::python_str(&text), self.answer(&target, choices.as_deref(), row)?)
        };
        let prefix = config.gen_prefix.as_ref().map(|prefix| reader.plain("gen_prefix", prefix, row)).transpose()?;
        let delimiter = &config.target_delimiter;
        Ok(match (prefix.filter(|prefix| !prefix.is_empty()), answer.as_str()) {
            (None, "") => question,
            (Some(prefix), "") => question + &prefix,
            (None, answer) => format!("{question}{delimiter}{answer}{}", config.fewshot_delimiter),
            (Some(prefix), answer) => {
                let begun = joined(&question, &prefix, delimiter);
                joined(&begun, answer, " ") + &config.fewshot_delimiter
            }
        })
    }

    /// The text of a shot's answer; empty if it has none.
    fn answer(&self, target: &Value, choices: Option<&[String]>, row: Row<'_>) -> Result<String, Error> {
        let bad = || self.reader.bad("doc_to_target", "a text, or the number of a choice", target, row);
        match (target, choices) {
            (Value::Null, _) => Ok(String::new()),
            (Value::String(text), _) => Ok(text.clone()),
            (Value::Array(items), _) => match items.first() {
                Some(Value::String(text)) => Ok(text.clone()),
                None => Ok(String::new()),
                Some(_) => Err(bad()),
            },
            (number, Some(choices)) if is_int(number) => {
                index_into(number, choices.len()).map(|place| choices[place].clone()).ok_or_else(bad)
            }
            _ => Err(bad()),
        }
    }
}

/// `a` and `b`, with the delimiter between them unless either is empty or has whitespace at the seam.
pub(crate) fn joined(a: &str, b: &str, delimiter: &str) -> String {
    let seam = a.ends_with(is_space) || b.starts_with(is_space);
    let delimiter = if a.is_empty() || b.is_empty() || seam { "" } else { delimiter };
    format!("{a}{delimiter}{b}")
}
