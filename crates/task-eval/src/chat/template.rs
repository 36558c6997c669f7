//! A model's chat template, ready to write conversations.

use minijinja::{Environment, Value};

use super::environment::{NAME, environment};
use super::message::{Message, Role, as_single_turn};
use crate::error::Error;
use crate::options::ChatOptions;
use crate::python::text::{rstrip, strip};
use crate::template::from_json;
use crate::tokens::TokenText;

/// Stands behind the beginning of an answer while it is rendered, as in transformers: what the template writes after it is cut.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The template, and what it sees besides the messages.
#[derive(Debug, Clone)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    variables: Vec<(String, Value)>,
    single_turn: bool,
}

impl ChatTemplate {
    pub(crate) fn new(text: &TokenText, options: &ChatOptions) -> Result<Self, Error> {
        let (chat, name) = (text.chat_source(), options.template.as_deref());
        let source = chat.template(name).ok_or_else(|| Error::NoChatTemplate {
            path: text.source().to_owned(),
            name: options.template.clone(),
            known: chat.names().map(str::to_owned).collect(),
        })?;
        let environment = environment(source)
            .map_err(|error| Error::ChatTemplateSyntax { path: text.source().to_owned(), source: Box::new(error) })?;
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
    pub(crate) fn render(&self, messages: &[Message]) -> Result<Option<String>, minijinja::Error> {
        let collapsed = if self.single_turn { as_single_turn(messages) } else { messages.to_vec() };
        let has_system = collapsed.iter().any(|message| message.role == Role::System);
        self.render_all(&collapsed).or_else(|error| {
            // Some templates refuse system messages; the harness then leaves them out.
            let others: Vec<Message> =
                collapsed.iter().filter(|message| message.role != Role::System).cloned().collect();
            if has_system { self.render_all(&others) } else { Err(error) }
        })
    }

    fn render_all(&self, messages: &[Message]) -> Result<Option<String>, minijinja::Error> {
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

    fn written(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, minijinja::Error> {
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
        let text = TokenText::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/bos"))?;
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
