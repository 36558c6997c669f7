//! Prompts as conversations: the messages of a prompt, and the model's own chat template that writes them down.

mod message;
mod source;
mod template;

pub(crate) use message::{Message, Turn, as_text, joined};
pub(crate) use source::ChatSource;
pub(crate) use template::ChatTemplate;
