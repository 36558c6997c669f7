//! One vocabulary for models whose tokens differ: which rows of which embedding stand in each row of the new one, as
//! data.

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
pub use tokens::{AddedToken, Tokens};
