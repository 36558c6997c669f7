//! What can go wrong with a model's tokenizer and its chat template.

use std::path::PathBuf;

use super::words::no_template;

/// Why a model's tokenizer or its chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A folder without a tokenizer.
    #[error(
        "{folder}: there is neither a tokenizer.json nor a tokenizer.model; copy those of the model, or write a \
         tokenizer.json with transformers' `AutoTokenizer`"
    )]
    NotThere {
        /// The folder.
        folder: PathBuf,
    },
    /// A `tokenizer.model` that cannot be read as a `tokenizer.json`.
    #[error("{0}")]
    Convert(#[source] layer_ir::Error),
    /// The tokenizer could not be loaded, or refuses a text.
    #[error("{file}: the tokenizer fails: {source}")]
    Fails {
        /// The tokenizer's file.
        file: PathBuf,
        /// Why.
        source: tokenizers::Error,
    },
    /// The tokenizer has neither a begin nor an end token.
    #[error(
        "{file}: neither a begin nor an end token is known; name one as `bos_token` or `eos_token` in the \
         tokenizer_config.json beside it"
    )]
    NoPrefixToken {
        /// The tokenizer's file.
        file: PathBuf,
    },
    /// A special token is not in the vocabulary.
    #[error("the tokenizer does not know the token `{token}`")]
    UnknownToken {
        /// The token's text.
        token: String,
    },
    /// The model has no chat template, or none of this name.
    #[error("{file}: {}", no_template(.name, .known))]
    NoChatTemplate {
        /// The tokenizer's file.
        file: PathBuf,
        /// The name asked for.
        name: Option<String>,
        /// The names there are.
        known: Vec<String>,
    },
    /// A chat template that cannot be parsed.
    #[error("{file}: the chat template beside it is not valid: {source}")]
    ChatTemplateSyntax {
        /// The tokenizer's file.
        file: PathBuf,
        /// Where and why.
        source: Box<minijinja::Error>,
    },
}
