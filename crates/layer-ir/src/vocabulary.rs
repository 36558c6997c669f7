//! One vocabulary for models whose tokens differ: which rows of which embedding stand in each row of the new one, as
//! data.
//!
//! `tokens.rs` reads what tokens a model has, `shared_tokens.rs` puts those of several models together, `alignment.rs`
//! and `rows.rs` say where each model has them, `files.rs` and `chat_template.rs` make the tokenizer's files of the
//! result, `sentencepiece.rs` a `tokenizer.json` where there is a `tokenizer.model` alone.

mod alignment;
mod chat_template;
mod files;
mod rows;
mod sentencepiece;
mod shared_tokens;
mod tokens;

pub use alignment::Alignment;
pub(crate) use chat_template::check as check_chat_template;
pub use files::tokenizer_files;
pub use rows::{OuterRows, Row};
pub use sentencepiece::{ConvertedTokenizer, convert_tokenizer};
pub use tokens::{AddedToken, Tokens};
