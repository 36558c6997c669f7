//! The text of a prompt: description, shots, question.
//!
//! ```text
//! SYSTEM [fewshot_delimiter] DESCRIPTION                                    either may be empty
//! QUESTION target_delimiter ANSWER fewshot_delimiter                        each shot
//! QUESTION [target_delimiter] GEN_PREFIX [space] ANSWER fewshot_delimiter   each shot, where the task begins answers
//! QUESTION                                                                  the evaluated document
//! QUESTION [target_delimiter] GEN_PREFIX                                    that, where the task begins answers
//! ```
//!
//! A delimiter in brackets stands only where no whitespace is at the seam. No delimiter follows the description: it
//! brings its own. In a conversation the same parts are messages.

use serde_json::Value;

use crate::chat::{ChatTemplate, Message, Turn, as_text, joined};
use crate::dataset::Document;
use crate::document::{DocumentAt, DocumentReader, index_into, is_int};
use crate::error::Error;

/// What stands in a prompt besides the shots and the question, and how it is written.
pub(crate) struct PromptWriter<'a, 'b> {
    /// Reads questions and answers off documents.
    pub reader: &'b DocumentReader<'a>,
    /// Stands before the task's description.
    pub system_instruction: Option<&'b str>,
    /// The template of a conversation; None for plain text.
    pub chat: Option<&'b ChatTemplate>,
    /// Whether a document has one question per choice, and one answer for all.
    pub several_inputs: bool,
}

impl PromptWriter<'_, '_> {
    /// Everything before the evaluated document's question.
    pub(crate) fn beginning(&self, row: DocumentAt<'_>, shots: &[Document]) -> Result<Vec<Message>, Error> {
        let task = self.reader.task();
        let description = self.reader.plain("description", &task.description, row)?;
        let system = joined(self.system_instruction.unwrap_or_default(), &description, &task.fewshot_delimiter);
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message::system(system));
        }
        for shot in shots {
            messages.extend(self.shot(DocumentAt { document: shot, index: row.index })?);
        }
        Ok(messages)
    }

    /// The prompt with the evaluated document's question, and the beginning of the answer if the task gives it.
    pub(crate) fn finished(
        &self,
        mut messages: Vec<Message>,
        question: &str,
        row: DocumentAt<'_>,
    ) -> Result<String, Error> {
        let task = self.reader.task();
        let prefix = self.prefix(task.gen_prefix.as_deref(), row)?;
        let turn = Turn {
            question,
            answer: None,
            prefix: prefix.as_deref(),
            target_delimiter: if self.several_inputs { "" } else { &task.target_delimiter },
            fewshot_delimiter: "",
        };
        messages.extend(turn.messages());
        let Some(chat) = self.chat else { return Ok(as_text(&messages)) };
        let (name, document) = (|| task.task.clone(), row.index);
        let rendered = chat.render(&messages).map_err(|error| Error::ChatTemplate {
            task: name(),
            document,
            source: Box::new(error),
        })?;
        rendered.ok_or_else(|| Error::ChatPrefixLost { task: name(), document, prefix: prefix.unwrap_or_default() })
    }

    /// The messages of a shot: its question, and its answer unless that is empty.
    fn shot(&self, row: DocumentAt<'_>) -> Result<Vec<Message>, Error> {
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
        let prefix = self.prefix(config.gen_prefix.as_deref(), row)?;
        let turn = Turn {
            question: &question,
            answer: answer.as_deref(),
            prefix: prefix.as_deref(),
            target_delimiter: &config.target_delimiter,
            fewshot_delimiter: &config.fewshot_delimiter,
        };
        Ok(turn.messages())
    }

    /// The beginning of an answer; None if it is empty.
    fn prefix(&self, source: Option<&str>, row: DocumentAt<'_>) -> Result<Option<String>, Error> {
        let prefix = source.map(|source| self.reader.plain("gen_prefix", source, row)).transpose()?;
        Ok(prefix.filter(|prefix| !prefix.is_empty()))
    }

    /// The text of a shot's answer; None if it has none.
    fn answer(&self, target: &Value, choices: Option<&[String]>, row: DocumentAt<'_>) -> Result<Option<String>, Error> {
        let bad = || self.reader.bad("doc_to_target", "a text, or the number of a choice", target, row);
        match (target, choices) {
            (Value::Null, _) => Ok(None),
            (Value::String(text), _) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            (Value::Array(items), _) => {
                items.first().and_then(Value::as_str).map(|text| Some(text.to_owned())).ok_or_else(bad)
            }
            (number, Some(choices)) if is_int(number) => {
                index_into(number, choices.len()).map(|place| Some(choices[place].clone())).ok_or_else(bad)
            }
            _ => Err(bad()),
        }
    }
}
