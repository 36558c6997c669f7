//! Reading questions, answers and choices off a document.
//!
//! A source ([`ValueSource`]) is a number, a list, a built-in function, a column's name or a template. What a template
//! renders is text; the harness reads some texts back as Python values, and so does this: digits are a choice's number
//! where the task has choices, and a target or choices in brackets are a list.

use serde_json::Value;

use crate::builtins::{BuiltIn, ColumnProblem, FunctionKind};
use crate::config::{TaskConfig, ValueSource};
use crate::dataset::Document;
use crate::error::Error;
use crate::python::literal;
use crate::python::text::{is_digit, python_str};
use crate::template::Templates;

/// Reads the keys `doc_to_*` of one task, with its templates parsed.
pub(crate) struct DocumentReader<'a> {
    task: &'a TaskConfig,
    templates: Templates,
    /// The evaluated split's columns: a key that is one of these is no template.
    columns: Vec<String>,
}

/// A document, and its place in the split for errors.
#[derive(Clone, Copy)]
pub(crate) struct DocumentAt<'a> {
    pub document: &'a Document,
    /// The place in the split, from 0; of a shot, that of the document which it is a shot of.
    pub index: usize,
}

/// Where a question, an answer and choices are read from: the task's own keys or its shots'.
#[derive(Clone, Copy)]
pub(crate) struct ValueSources<'a> {
    /// `doc_to_text`
    pub text: &'a ValueSource,
    /// `doc_to_target`
    pub target: &'a ValueSource,
    /// `doc_to_choice`
    pub choice: Option<&'a ValueSource>,
}

impl<'a> DocumentReader<'a> {
    /// Parses the task's templates; `columns` are those of the evaluated split.
    ///
    /// # Errors
    /// [`Error::TemplateSyntax`] for a template that cannot be parsed.
    pub(crate) fn new(task: &'a TaskConfig, columns: Vec<String>) -> Result<Self, Error> {
        let mut templates = Templates::new();
        let (fewshot, text) = (&task.fewshot, |source: &'a ValueSource| match source {
            ValueSource::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let keys = [
            ("doc_to_text", text(&task.doc_to_text)),
            ("doc_to_target", text(&task.doc_to_target)),
            ("doc_to_choice", task.doc_to_choice.as_ref().and_then(text)),
            ("description", Some(task.description.as_str())),
            ("gen_prefix", task.gen_prefix.as_deref()),
            ("fewshot_config.doc_to_text", text(&fewshot.doc_to_text)),
            ("fewshot_config.doc_to_target", text(&fewshot.doc_to_target)),
            ("fewshot_config.doc_to_choice", fewshot.doc_to_choice.as_ref().and_then(text)),
            ("fewshot_config.gen_prefix", fewshot.gen_prefix.as_deref()),
        ];
        for (key, source) in keys {
            let Some(source) = source else { continue };
            templates.add(source).map_err(|error| Error::TemplateSyntax {
                file: task.file.clone(),
                key: key.to_owned(),
                source: Box::new(error),
            })?;
        }
        Ok(Self { task, templates, columns })
    }

    /// The task whose keys it reads.
    pub(crate) fn task(&self) -> &'a TaskConfig {
        self.task
    }

    /// The task's own keys.
    pub(crate) fn own_sources(&self) -> ValueSources<'a> {
        let task = self.task;
        ValueSources { text: &task.doc_to_text, target: &task.doc_to_target, choice: task.doc_to_choice.as_ref() }
    }

    /// The keys for shots.
    pub(crate) fn shot_sources(&self) -> ValueSources<'a> {
        let shots = &self.task.fewshot;
        ValueSources { text: &shots.doc_to_text, target: &shots.doc_to_target, choice: shots.doc_to_choice.as_ref() }
    }

    /// The question: a text, or with several inputs the number of the right one.
    pub(crate) fn text(&self, sources: ValueSources<'_>, row: DocumentAt<'_>) -> Result<Value, Error> {
        self.read("doc_to_text", sources.text, sources.choice.is_some(), false, row)
    }

    /// The answer: a text, a choice's number, or a list of either.
    pub(crate) fn target(&self, sources: ValueSources<'_>, row: DocumentAt<'_>) -> Result<Value, Error> {
        self.read("doc_to_target", sources.target, sources.choice.is_some(), true, row)
    }

    /// The choices' texts; None if the task has none.
    pub(crate) fn choices(&self, sources: ValueSources<'_>, row: DocumentAt<'_>) -> Result<Option<Vec<String>>, Error> {
        const KEY: &str = "doc_to_choice";
        let items = match sources.choice {
            None => return Ok(None),
            Some(ValueSource::List(items)) => items.clone(),
            Some(ValueSource::BuiltIn(function)) => match self.call(*function, row)? {
                Value::Array(items) => items,
                other => return Err(self.bad(KEY, "a list", &other, row)),
            },
            Some(ValueSource::Int(n)) => return Err(self.bad(KEY, "a list", &Value::from(*n), row)),
            Some(ValueSource::Text(source)) => {
                let value = match self.column(source, row) {
                    Some(value) => value,
                    None => {
                        let rendered = self.render(KEY, source, row)?;
                        literal::parse(&rendered).unwrap_or(Value::String(rendered))
                    }
                };
                match value {
                    Value::Array(items) => items,
                    other => return Err(self.bad(KEY, "a list", &other, row)),
                }
            }
        };
        Ok(Some(items.iter().map(python_str).collect()))
    }

    /// A text beside question and answer: `description` or `gen_prefix`.
    pub(crate) fn plain(&self, key: &'static str, source: &str, row: DocumentAt<'_>) -> Result<String, Error> {
        match row.document.values.get(source) {
            Some(Value::Null) => Ok(String::new()),
            Some(value) => Ok(python_str(value)),
            None => self.render(key, source, row),
        }
    }

    /// The value of a source. `has_choices`: whether digits are a choice's number; `lists`: whether a text in brackets
    /// is a list.
    fn read(
        &self,
        key: &'static str,
        source: &ValueSource,
        has_choices: bool,
        lists: bool,
        row: DocumentAt<'_>,
    ) -> Result<Value, Error> {
        let source = match source {
            ValueSource::Int(n) => return Ok(Value::from(*n)),
            ValueSource::List(items) => return Ok(Value::Array(items.clone())),
            ValueSource::BuiltIn(function) => return self.call(*function, row),
            ValueSource::Text(source) => source,
        };
        if let Some(value) = self.column(source, row) {
            return Ok(value);
        }
        let rendered = self.render(key, source, row)?;
        if has_choices && is_digit(&rendered) {
            // Digits that are no Python number (`01`, `²`) stop the harness as well.
            return match literal::parse(&rendered) {
                Some(number) => Ok(number),
                None => Err(self.bad(key, "a choice's number", &Value::String(rendered), row)),
            };
        }
        if lists && rendered.starts_with('[') && rendered.ends_with(']') {
            return Ok(literal::parse(&rendered).unwrap_or(Value::String(rendered)));
        }
        Ok(Value::String(rendered))
    }

    /// What a built-in function of documents gives.
    fn call(&self, function: BuiltIn, row: DocumentAt<'_>) -> Result<Value, Error> {
        let FunctionKind::Value(call) = function.kind() else { return Ok(Value::Null) };
        call(&row.document.values).map_err(self.failed(function, row))
    }

    /// What a built-in function's complaint about this document is to the user.
    pub(crate) fn failed(&self, function: BuiltIn, row: DocumentAt<'_>) -> impl FnOnce(ColumnProblem) -> Error {
        let (task, document) = (self.task.task.clone(), row.index);
        move |source| Error::BuiltIn { task, document, function, source }
    }

    /// The value of the column of this name, null if the document leaves it out; None if there is no such column.
    fn column(&self, source: &str, row: DocumentAt<'_>) -> Option<Value> {
        let is_column = self.columns.iter().any(|column| column == source);
        is_column.then(|| row.document.values.get(source).cloned().unwrap_or_default())
    }

    /// What a template gives of the document.
    fn render(&self, key: &'static str, source: &str, row: DocumentAt<'_>) -> Result<String, Error> {
        self.templates.render(source, &row.document.context).map_err(|error| Error::Template {
            task: self.task.task.clone(),
            document: row.index,
            key,
            source: Box::new(error),
        })
    }

    /// The error of a value that is not what its key needs.
    pub(crate) fn bad(&self, key: &'static str, expected: &'static str, found: &Value, row: DocumentAt<'_>) -> Error {
        Error::BadRendered {
            task: self.task.task.clone(),
            document: row.index,
            key,
            expected,
            found: crate::error::short(found),
        }
    }
}

/// A Python index into a list of `len`: from the end, if negative. Booleans are numbers. None beyond the list, and for
/// what is no whole number.
pub(crate) fn index_into(number: &Value, len: usize) -> Option<usize> {
    let number = match number {
        Value::Bool(value) => i64::from(*value),
        other => other.as_i64()?,
    };
    let place = if number < 0 { number + i64::try_from(len).ok()? } else { number };
    usize::try_from(place).ok().filter(|&place| place < len)
}

/// Whether the value is a number for Python's `isinstance(value, int)`.
pub(crate) fn is_int(value: &Value) -> bool {
    value.is_boolean() || value.is_i64() || value.is_u64()
}
