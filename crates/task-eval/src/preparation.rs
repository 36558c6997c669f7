//! One document made ready: its texts, its tokens, and what its answers are held against.
//!
//! | `output_type` | requests | gold |
//! |---|---|---|
//! | `multiple_choice` | (prompt, choice) for each; with `acc_mutual_info` (nothing, choice), too | right choices |
//! | `whole_prompt_ppl` | (nothing, prompt with choice) for each | right choices |
//! | `loglikelihood` | (prompt, target) | the target |
//! | `loglikelihood_rolling` | the windows of the target | the text whose words and bytes are counted |
//! | `generate_until` | the prompt | the texts of which the answer should be one |
//!
//! With several inputs (WinoGrande) each choice has a prompt of its own, and the target follows all of them.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::builtins::FunctionKind;
use crate::chat::ChatTemplate;
use crate::config::{OutputType, TaskConfig};
use crate::dataset::Document;
use crate::document::{DocumentAt, DocumentReader, ValueSources, is_int};
use crate::error::Error;
use crate::metrics::{Agreement, Metric};
use crate::model::ScoreRequest;
use crate::prompt::PromptWriter;
use crate::python::text::{is_space, python_str};
use crate::requests::RequestBuilder;
use crate::tokenizer::ModelTokenizer;

/// A gold that no choice is.
const NO_CHOICE: i64 = -100;

/// A document ready to be put to models.
#[derive(Debug, Clone)]
pub(crate) struct PreparedDocument {
    /// Its place in the split.
    pub index: usize,
    /// Its columns.
    pub values: Map<String, Value>,
    /// The answer as the task gives it.
    pub target: Value,
    /// The texts of each request.
    pub arguments: Vec<RequestTexts>,
    /// The same as tokens, request by request; of a rolling text window by window.
    pub requests: Requests,
    /// What the answers are held against.
    pub gold: Gold,
}

/// The texts of one request.
#[derive(Debug, Clone)]
pub(crate) struct RequestTexts {
    /// The prompt; of a rolling text the text itself.
    pub context: String,
    /// What is scored after it; None where the request has one text.
    pub continuation: Option<String>,
}

/// What the model is asked.
#[derive(Debug, Clone)]
pub(crate) enum Requests {
    /// Each for itself.
    Score(Vec<ScoreRequest>),
    /// The windows of one text, whose answers are added up.
    Rolling(Vec<ScoreRequest>),
    /// The context of an answer.
    Generate(Arc<[u32]>),
}

/// What the answers are held against.
#[derive(Debug, Clone)]
pub(crate) enum Gold {
    /// Of multiple choice.
    Choice(ChoiceGold),
    /// The whole text whose likelihood is asked for, or the one whose words and bytes are counted instead of its.
    Text(String),
    /// One of these texts.
    Texts(Vec<String>),
}

/// The right choice or choices, and what the others are normalised by.
#[derive(Debug, Clone)]
pub(crate) struct ChoiceGold {
    /// Places of choices; what is none is [`NO_CHOICE`] or another negative number.
    pub places: Vec<i64>,
    /// Unicode characters of each choice.
    pub characters: Vec<usize>,
    /// UTF-8 bytes of each choice.
    pub bytes: Vec<usize>,
    /// What a choice is worth.
    pub grading: Grading,
}

impl ChoiceGold {
    /// The place of the right choice, the first of several; `None` where none is right.
    pub fn first(&self) -> Option<usize> {
        self.places.iter().find_map(|place| usize::try_from(*place).ok())
    }
}

/// What the choice that a model finds most likely is worth.
#[derive(Debug, Clone)]
pub(crate) enum Grading {
    /// A hit or a miss.
    Hit,
    /// `acc` is the share that these choices have of the probability.
    Share(Vec<bool>),
    /// `f1` and `em` are how far it agrees with the right answers.
    Agreement(Vec<Agreement>),
}

/// What all documents of a task share while they are made ready.
pub(crate) struct Preparation<'a> {
    task: &'a TaskConfig,
    reader: &'a DocumentReader<'a>,
    tokenizer: &'a ModelTokenizer,
    writer: PromptWriter<'a, 'a>,
    /// The window in tokens.
    max_length: usize,
    /// Whether a target is a list, each item of which is a right answer.
    several_targets: bool,
    /// Whether a metric needs the choices without their question as well.
    unconditional_choices: bool,
}

impl<'a> Preparation<'a> {
    /// Whether there are several inputs or targets is decided by the first document, as in the harness.
    ///
    /// # Errors
    /// What keeps that document's question or target from being read.
    pub(crate) fn new(
        reader: &'a DocumentReader<'a>,
        tokenizer: &'a ModelTokenizer,
        system_instruction: Option<&'a str>,
        chat: Option<&'a ChatTemplate>,
        max_length: usize,
        first: DocumentAt<'_>,
    ) -> Result<Self, Error> {
        let (task, sources) = (reader.task(), reader.own_sources());
        let several_inputs = task.output_type.has_choices() && is_int(&reader.text(sources, first)?);
        let several_targets = reader.target(sources, first)?.is_array();
        let writer = PromptWriter { reader, system_instruction, chat, several_inputs };
        let mut metrics = task.metrics.iter().filter_map(|config| task.components.metrics.get(&config.metric).ok());
        let unconditional_choices = metrics.any(Metric::needs_unconditional_choices);
        Ok(Self { task, reader, tokenizer, writer, max_length, several_targets, unconditional_choices })
    }

    /// Makes one document ready, with these shots before its question.
    ///
    /// # Errors
    /// What is wrong with the document, the shots or the texts for this window; each names task and document.
    pub(crate) fn document(&self, row: DocumentAt<'_>, shots: &[Document]) -> Result<PreparedDocument, Error> {
        let sources = self.reader.own_sources();
        let target = self.reader.target(sources, row)?;
        let mut builder = RequestBuilder::new(self.tokenizer, &self.task.task, row.index, self.max_length);
        let (arguments, gold) = match self.task.output_type {
            OutputType::MultipleChoice | OutputType::WholePromptPpl => {
                self.multiple_choice(sources, row, shots, &target)?
            }
            OutputType::Loglikelihood => {
                let (context, text) = (self.context(sources, row, shots)?, python_str(&target));
                (vec![RequestTexts { context, continuation: Some(text.clone()) }], Gold::Text(text))
            }
            OutputType::LoglikelihoodRolling => {
                let text = python_str(&target);
                let counted = self.counted_text(row)?.unwrap_or_else(|| text.clone());
                (vec![RequestTexts { context: text, continuation: None }], Gold::Text(counted))
            }
            OutputType::GenerateUntil => {
                let context = self.context(sources, row, shots)?;
                (vec![RequestTexts { context, continuation: None }], self.texts(sources, row, &target)?)
            }
        };
        let requests = self.requests(&mut builder, &arguments)?;
        Ok(PreparedDocument {
            index: row.index,
            values: row.document.values.clone(),
            target,
            arguments,
            requests,
            gold,
        })
    }

    /// The requests as tokens.
    fn requests(&self, builder: &mut RequestBuilder<'_>, arguments: &[RequestTexts]) -> Result<Requests, Error> {
        let only = arguments.first().map_or("", |argument| &argument.context);
        Ok(match self.task.output_type {
            OutputType::LoglikelihoodRolling => Requests::Rolling(builder.rolling(only)?),
            OutputType::GenerateUntil => {
                Requests::Generate(builder.generation(only, self.task.generation.max_new_tokens)?)
            }
            OutputType::MultipleChoice | OutputType::Loglikelihood => {
                let score = |argument: &RequestTexts| {
                    builder.score(&argument.context, argument.continuation.as_deref().unwrap_or_default())
                };
                Requests::Score(arguments.iter().map(score).collect::<Result<_, _>>()?)
            }
            OutputType::WholePromptPpl => {
                let whole = |argument: &RequestTexts| {
                    builder.whole(&argument.context, argument.continuation.as_deref().unwrap_or_default())
                };
                Requests::Score(arguments.iter().map(whole).collect::<Result<_, _>>()?)
            }
        })
    }

    /// The text whose words and bytes are counted, if a function says that it is not the scored one.
    fn counted_text(&self, row: DocumentAt<'_>) -> Result<Option<String>, Error> {
        match self.task.process_results.map(|function| (function, function.kind())) {
            Some((function, FunctionKind::CountedText(text))) => {
                text(&row.document.values).map(Some).map_err(self.reader.failed(function, row))
            }
            _ => Ok(None),
        }
    }

    /// What a choice is worth, if a function says it.
    fn grading(&self, row: DocumentAt<'_>) -> Result<Grading, Error> {
        let Some(function) = self.task.process_results else { return Ok(Grading::Hit) };
        let columns = &row.document.values;
        let graded = match function.kind() {
            FunctionKind::RightChoices(right) => right(columns).map(Grading::Share),
            FunctionKind::Agreement(agreement) => agreement(columns).map(Grading::Agreement),
            _ => Ok(Grading::Hit),
        };
        graded.map_err(self.reader.failed(function, row))
    }

    /// The prompt of a document with one question.
    fn context(&self, sources: ValueSources<'_>, row: DocumentAt<'_>, shots: &[Document]) -> Result<String, Error> {
        let question = python_str(&self.reader.text(sources, row)?);
        self.writer.finished(self.writer.beginning(row, shots)?, &question, row)
    }

    /// What stands before a choice: in a conversation nothing, unless the answer has been begun.
    fn choice_delimiter(&self) -> &'a str {
        let begun =
            self.task.gen_prefix.as_deref().is_some_and(|prefix| !prefix.is_empty() && !prefix.ends_with(is_space));
        if self.writer.chat.is_none() || begun { &self.task.target_delimiter } else { "" }
    }

    /// The texts of the requests, and the right choices. A document whose choices are none, or of which one is empty,
    /// is refused.
    fn multiple_choice(
        &self,
        sources: ValueSources<'_>,
        row: DocumentAt<'_>,
        shots: &[Document],
        target: &Value,
    ) -> Result<(Vec<RequestTexts>, Gold), Error> {
        let choices = self.reader.choices(sources, row)?.unwrap_or_default();
        let delimiter = self.choice_delimiter();
        let mut arguments = Vec::new();
        let gold = if self.writer.several_inputs {
            let beginning = self.writer.beginning(row, shots)?;
            let continuation = format!("{delimiter}{}", python_str(target));
            for choice in &choices {
                let context = self.writer.finished(beginning.clone(), choice, row)?;
                arguments.push(RequestTexts { context, continuation: Some(continuation.clone()) });
            }
            self.reader.text(sources, row)?
        } else {
            let context = self.context(sources, row, shots)?;
            let of =
                |choice| RequestTexts { context: context.clone(), continuation: Some(format!("{delimiter}{choice}")) };
            arguments.extend(choices.iter().map(of));
            target.clone()
        };
        if self.unconditional_choices {
            let alone =
                |choice| RequestTexts { context: String::new(), continuation: Some(format!("{delimiter}{choice}")) };
            arguments.extend(choices.iter().map(alone));
        }
        if choices.is_empty() || choices.iter().any(String::is_empty) {
            return Err(self.reader.bad("doc_to_choice", "choices, none of them empty", &Value::from(choices), row));
        }
        Ok((arguments, Gold::Choice(self.choice_gold(&gold, &choices, row)?)))
    }

    /// The right choices of a gold: a choice, its number, or a list of either.
    fn choice_gold(&self, gold: &Value, choices: &[String], row: DocumentAt<'_>) -> Result<ChoiceGold, Error> {
        let places = match gold {
            Value::Array(items) => items.iter().map(|item| self.place(item, choices, row)).collect::<Result<_, _>>()?,
            one => vec![self.place(one, choices, row)?],
        };
        let characters = choices.iter().map(|choice| choice.chars().count()).collect();
        let bytes = choices.iter().map(String::len).collect();
        Ok(ChoiceGold { places, characters, bytes, grading: self.grading(row)? })
    }

    /// A gold's place among the choices; negative if it is none of them.
    fn place(&self, gold: &Value, choices: &[String], row: DocumentAt<'_>) -> Result<i64, Error> {
        let count = i64::try_from(choices.len()).unwrap_or(i64::MAX);
        match gold {
            Value::Bool(value) => Ok(i64::from(*value)),
            Value::Number(number) if !number.is_f64() => {
                Ok(number.as_i64().filter(|&place| place < count).unwrap_or(NO_CHOICE))
            }
            Value::String(text) => {
                let place = choices.iter().position(|choice| choice == text);
                Ok(place.and_then(|place| i64::try_from(place).ok()).unwrap_or(NO_CHOICE))
            }
            other => Err(self.reader.bad("doc_to_target", "a choice, its number, or a list of them", other, row)),
        }
    }

    /// The texts that a generated answer may be.
    fn texts(&self, sources: ValueSources<'_>, row: DocumentAt<'_>, target: &Value) -> Result<Gold, Error> {
        if let Some(choices) = self.reader.choices(sources, row)?.filter(|_| is_int(target)) {
            let place = crate::document::index_into(target, choices.len())
                .ok_or_else(|| self.reader.bad("doc_to_target", "a choice's number", target, row))?;
            return Ok(Gold::Texts(vec![choices[place].clone()]));
        }
        Ok(Gold::Texts(match target {
            Value::Array(items) if self.several_targets => items.iter().map(python_str).collect(),
            one => vec![python_str(one)],
        }))
    }
}
