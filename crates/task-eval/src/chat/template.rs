//! A model's chat template, ready to write conversations.
//!
//! A template is a program that prints: it sees `messages` (each with `role` and `content`), `add_generation_prompt`,
//! the special tokens, `tools` and `documents` (both none), and what [`ChatOptions::variables`] add. It is run as
//! transformers runs it, so that the same text comes out.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error as JinjaError, ErrorKind, UndefinedBehavior, Value};

use super::message::{Message, Role, as_single_turn};
use crate::error::{Error, TokenizerError};
use crate::options::ChatOptions;
use crate::python::jinja::add_python;
use crate::python::json::tojson;
use crate::python::strftime::strftime_now;
use crate::python::text::{rstrip, strip};
use crate::template::from_json;
use crate::tokenizer::ModelTokenizer;

/// Stands behind the beginning of an answer while it is rendered, as in transformers: what the template writes after
/// it is cut.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The template, and what it sees besides the messages.
#[derive(Debug, Clone)]
pub(crate) struct ChatTemplate {
    /// Holds the one template, under [`NAME`].
    environment: Environment<'static>,
    source: String,
    /// What the template sees beside `messages` and `add_generation_prompt`; of one name the last counts.
    variables: Vec<(String, Value)>,
    /// Whether shots and question are one message.
    single_turn: bool,
}

impl ChatTemplate {
    /// Parses the template that the options name, or the default one.
    ///
    /// # Errors
    /// [`TokenizerError::NoChatTemplate`] if the model has none of that name,
    /// [`TokenizerError::ChatTemplateSyntax`] for one that cannot be parsed.
    pub(crate) fn new(tokenizer: &ModelTokenizer, options: &ChatOptions) -> Result<Self, Error> {
        let (chat, name) = (tokenizer.chat_source(), options.template.as_deref());
        let source = chat.template(name).ok_or_else(|| TokenizerError::NoChatTemplate {
            file: tokenizer.source().to_owned(),
            name: options.template.clone(),
            known: chat.names().map(str::to_owned).collect(),
        })?;
        let environment = environment(source).map_err(|error| TokenizerError::ChatTemplateSyntax {
            file: tokenizer.source().to_owned(),
            source: Box::new(error),
        })?;
        let none = ["tools", "documents"].map(|name| (name.to_owned(), Value::from(())));
        let tokens = chat.tokens().map(|(name, text)| (name.to_owned(), Value::from(text)));
        let own = options.variables.iter().map(|(name, value)| (name.clone(), from_json(value)));
        let variables = none.into_iter().chain(tokens).chain(own).collect();
        Ok(Self { environment, source: source.to_owned(), variables, single_turn: options.single_turn })
    }

    /// The template's text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The prompt. If its last message is the assistant's, the model goes on with that; None if the template loses it.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<Option<String>, JinjaError> {
        let collapsed = if self.single_turn { as_single_turn(messages) } else { messages.to_vec() };
        let has_system = collapsed.iter().any(|message| message.role == Role::System);
        self.render_all(&collapsed).or_else(|error| {
            // Some templates refuse system messages; the harness then leaves them out.
            let others: Vec<Message> =
                collapsed.iter().filter(|message| message.role != Role::System).cloned().collect();
            if has_system { self.render_all(&others) } else { Err(error) }
        })
    }

    /// As [`Self::render`], with the messages as they are, system messages included.
    ///
    /// The beginning of an answer is rendered with [`TAG`] behind it, and the text is cut where the tag begins: what
    /// the template would write after the answer must not stand there, as the model goes on with it.
    fn render_all(&self, messages: &[Message]) -> Result<Option<String>, JinjaError> {
        let begun = messages.last().filter(|last| last.role == Role::Assistant).map(|last| last.content.as_str());
        let Some(begun) = begun else { return self.written(messages, true).map(Some) };
        // As in transformers: a template that does not name the field cannot write it as it is.
        if !self.source.contains("content") {
            return Ok(None);
        }
        let mut tagged = messages.to_vec();
        if let Some(last) = tagged.last_mut() {
            last.content.push_str(TAG);
        }
        let text = self.written(&tagged, false)?;
        let Some(place) = text.rfind(TAG.trim_end()).filter(|_| text.contains(strip(begun))) else { return Ok(None) };
        // A template that trims messages trims the tag's space as well, and would have trimmed what stands before it.
        let before = &text[..place];
        Ok(Some(if text[place..].starts_with(TAG) { before } else { rstrip(before) }.to_owned()))
    }

    /// What the template writes.
    fn written(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, JinjaError> {
        let message = |message: &Message| {
            Value::from_pairs([
                ("role", Value::from(message.role.name())),
                ("content", Value::from(message.content.as_str())),
            ])
        };
        let messages: Vec<Value> = messages.iter().map(message).collect();
        let given =
            [("messages", Value::from(messages)), ("add_generation_prompt", Value::from(add_generation_prompt))];
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        self.environment.get_template(NAME)?.render(Value::from_pairs(variables.chain(given)))
    }
}

/// An environment with one template; its name is the same.
const NAME: &str = "chat template";

/// Jinja as transformers runs chat templates: lenient about what is undefined, blocks trimmed, with `break`,
/// `raise_exception`, `strftime_now` and a `tojson` that escapes nothing.
fn environment(source: &str) -> Result<Environment<'static>, JinjaError> {
    let mut environment = Environment::new();
    // Only odd delimiters can make this fail, and these are the default ones.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default());
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    add_python(&mut environment);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", |message: String| -> Result<String, JinjaError> {
        Err(JinjaError::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| strftime_now(format));
    environment.add_template_owned(NAME, without_generation(source))?;
    Ok(environment)
}

/// `{% generation %}` marks what a model is trained on and changes no text: a condition that always holds stands in
/// its place.
fn without_generation(source: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(start) = rest.find("{%") {
        let (before, block) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = block.find("%}") else {
            rest = block;
            break;
        };
        let (inside, after) = block.split_at(end);
        let words = inside[2..].trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        match words {
            "generation" => out.push_str(&inside.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&inside.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(inside),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn message(entry: &Json) -> Message {
        let content = entry[1].as_str().unwrap_or_default().to_owned();
        match entry[0].as_str() {
            Some("system") => Message::system(content),
            Some("user") => Message::of(Role::User, content),
            _ => Message::of(Role::Assistant, content),
        }
    }

    /// `tests/golden/chat/templates.json`: transformers 5.23; made by `make.py` beside it.
    #[test]
    fn conversations_are_written_as_transformers_writes_them() -> Result<(), Box<dyn std::error::Error>> {
        let golden: Json = serde_json::from_str(include_str!("../../tests/golden/chat/templates.json"))?;
        let text = ModelTokenizer::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/bos"))?;
        let mut wrong = Vec::new();
        for case in golden["cases"].as_array().ok_or("no cases")? {
            let (name, conversation) =
                (case["template"].as_str().ok_or("name")?, case["conversation"].as_str().ok_or("name")?);
            let variables = case["variables"].as_object().cloned().unwrap_or_default();
            let options = ChatOptions { variables, ..ChatOptions::default() };
            let text = text.clone().with_chat_template(golden["templates"][name].as_str().ok_or("template")?);
            let messages: Vec<Message> =
                golden["conversations"][conversation].as_array().ok_or("messages")?.iter().map(message).collect();
            let ours = ChatTemplate::new(&text, &options)?.render_all(&messages).ok().flatten();
            if ours.as_deref() != case["out"].as_str() {
                wrong.push(format!("{name}, {conversation}: {ours:?}\n instead of {}", case["out"]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }
}
