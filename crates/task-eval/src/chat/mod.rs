//! Prompts as conversations: the messages of a prompt, and the model's own chat template that writes them down.
//!
//! A prompt is made as a list of messages in either case. In plain text they stand one after the other with delimiters
//! between them ([`as_text`]); in a conversation a [`ChatTemplate`] writes them, with the special tokens of the model's
//! tokenizer as text. Equal prompts to the harness's (`--apply_chat_template`) are tried against its own runs.

mod message;
mod source;
mod template;

pub(crate) use message::{Message, Turn, as_text, joined};
pub(crate) use source::ChatSource;
pub(crate) use template::ChatTemplate;
