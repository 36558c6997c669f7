//! Text to tokens and back, by lm-evaluation-harness's rules for causal models of Hugging Face.
//!
//! What the rules decide: whether a text gets a begin token, at which token a prompt ends and its answer begins
//! ([`ModelTokenizer::encode_pair`]), what stands before a text without a prompt ([`ModelTokenizer::prefix_token`]),
//! which tokens end an answer, and how many tokens the model sees.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::chat::ChatSource;
use crate::error::{Error, TokenizerError};
use crate::model_files::ModelFiles;
use crate::python::text::rstrip;
use file::TokenizerFile;

/// The window assumed when neither the model's config nor its tokenizer says one.
const DEFAULT_MAX_LENGTH: usize = 2048;
/// `model_max_length` beyond this means "not known": transformers writes 1e30 there.
const UNKNOWN_MAX_LENGTH: f64 = 1e15;

/// A tokenizer with what the evaluator must know of its model: the begin and end tokens and the window.
///
/// The post-processor of `tokenizer.json` decides whether a text gets a begin token, unless
/// [`ModelTokenizer::with_bos`] says otherwise; a text that already starts with that token's text gets no second one.
///
/// ```
/// use task_eval::ModelTokenizer;
///
/// let tokenizer = ModelTokenizer::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/bos"))?;
/// let tokens = tokenizer.encode("the cat")?;
/// assert_eq!(tokens[0], tokenizer.prefix_token());
/// assert_eq!(tokenizer.decode(&tokens)?, "the cat");
/// # Ok::<(), task_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ModelTokenizer {
    tokenizer: Arc<Tokenizer>,
    /// Its file, for errors.
    source: PathBuf,
    /// The begin token, or else the end token.
    prefix: SpecialToken,
    bos: Option<SpecialToken>,
    eos: Option<SpecialToken>,
    /// Every token that ends a generation.
    ends: Vec<u32>,
    /// Whether the post-processor of `tokenizer.json` is asked for.
    add_special_tokens: bool,
    /// The window in tokens.
    max_length: usize,
    chat: Arc<ChatSource>,
}

/// A begin or end token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SpecialToken {
    id: u32,
    text: String,
}

/// A context and a continuation as tokens, cut at the place where the harness cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// The tokens given; never empty.
    pub context: Vec<u32>,
    /// The tokens to be scored; empty when the continuation's text merged into the context.
    pub continuation: Vec<u32>,
}

impl ModelTokenizer {
    /// Reads `tokenizer.json` or, where there is none, the SentencePiece model `tokenizer.model`, and what
    /// `tokenizer_config.json`, `special_tokens_map.json` and `config.json` (each may be missing) say of begin and end
    /// tokens and of the window; of chat templates, what `chat_template.jinja`, `additional_chat_templates/` or,
    /// without these, `tokenizer_config.json` have.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Json`], [`TokenizerError::Fails`] and [`TokenizerError::Convert`] for files that are
    /// broken; [`TokenizerError::NotThere`] where there is no tokenizer; [`TokenizerError::NoPrefixToken`] where no
    /// file names a begin or an end token.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_changed(dir, &IndexMap::new())
    }

    /// As [`ModelTokenizer::load`], where some of the folder's files, by name, have another content: for a model that
    /// is not written yet.
    ///
    /// # Errors
    /// As [`ModelTokenizer::load`].
    pub fn load_changed(dir: impl AsRef<Path>, changed: &IndexMap<String, Vec<u8>>) -> Result<Self, Error> {
        let files = ModelFiles { dir: dir.as_ref(), changed };
        let TokenizerFile { tokenizer, path, bos, eos } = TokenizerFile::read(&files)?;
        let settings = [files.json("tokenizer_config.json")?, files.json("special_tokens_map.json")?];
        let model = files.json("config.json")?;
        let special = |key: &str| {
            settings.iter().find_map(|file| special_token(&tokenizer, file.get(key)?)).or_else(|| {
                let id = u32::try_from(first_id(model.get(format!("{key}_id"))?)?).ok()?;
                Some(SpecialToken { id, text: tokenizer.id_to_token(id)? })
            })
        };
        let own = |text: Option<String>| {
            let text = text?;
            Some(SpecialToken { id: tokenizer.token_to_id(&text)?, text })
        };
        let (bos, eos) = (special("bos_token").or_else(|| own(bos)), special("eos_token").or_else(|| own(eos)));
        let max_length = window(&model).or_else(|| tokenizer_window(&settings[0])).unwrap_or(DEFAULT_MAX_LENGTH);
        let mut loaded = Self::assemble(tokenizer, path, bos, eos, max_length)?;
        let generation = files.json("generation_config.json")?;
        if let Some(ends) = generation.get("eos_token_id").or_else(|| model.get("eos_token_id")) {
            loaded.ends.extend(all_ids(ends));
        }
        loaded.chat = Arc::new(ChatSource::read(&files, &settings)?);
        Ok(loaded)
    }

    /// A tokenizer made elsewhere; `bos` and `eos` are the texts of its begin and end tokens, of which one must exist.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownToken`] for a token that is not in the vocabulary; [`TokenizerError::NoPrefixToken`] if
    /// both are None.
    pub fn from_tokenizer(
        tokenizer: Tokenizer,
        bos: Option<&str>,
        eos: Option<&str>,
        max_length: usize,
    ) -> Result<Self, Error> {
        let special = |text: &str| {
            let unknown = || TokenizerError::UnknownToken { token: text.to_owned() };
            tokenizer.token_to_id(text).map(|id| SpecialToken { id, text: text.to_owned() }).ok_or_else(unknown)
        };
        let (bos, eos) = (bos.map(special).transpose()?, eos.map(special).transpose()?);
        Self::assemble(tokenizer, PathBuf::from("tokenizer"), bos, eos, max_length)
    }

    /// A tokenizer that neither cuts nor pads.
    fn assemble(
        mut tokenizer: Tokenizer,
        source: PathBuf,
        bos: Option<SpecialToken>,
        eos: Option<SpecialToken>,
        max_length: usize,
    ) -> Result<Self, Error> {
        let prefix = bos
            .clone()
            .or_else(|| eos.clone())
            .ok_or_else(|| TokenizerError::NoPrefixToken { file: source.clone() })?;
        tokenizer
            .with_truncation(None)
            .map_err(|error| TokenizerError::Fails { file: source.clone(), source: error })?
            .with_padding(None);
        let (tokenizer, ends) = (Arc::new(tokenizer), eos.iter().map(|token| token.id).collect());
        let special = [("bos_token", &bos), ("eos_token", &eos)];
        let special = special.into_iter().filter_map(|(name, token)| Some((name, token.as_ref()?.text.as_str())));
        let chat = Arc::new(ChatSource::without_template(special));
        Ok(Self { tokenizer, source, prefix, bos, eos, ends, add_special_tokens: true, max_length, chat })
    }

    /// Whether special tokens are added to texts, against the tokenizer's own habit (`add_bos_token` of the harness).
    #[must_use]
    pub fn with_bos(mut self, add: bool) -> Self {
        self.add_special_tokens = add;
        self
    }

    /// Another window than the model's own; below it, texts lose their beginning.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// This chat template (Jinja) instead of those that the model's folder has.
    #[must_use]
    pub fn with_chat_template(mut self, template: &str) -> Self {
        self.chat = Arc::new(self.chat.with_template(template));
        self
    }

    /// The names of the chat templates; `default` is the one that is meant when none is named.
    pub fn chat_templates(&self) -> impl Iterator<Item = &str> {
        self.chat.names()
    }

    /// The window of the model that belongs to this tokenizer, in tokens: of the model's config, or else of the
    /// tokenizer's, or else 2048.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// What an empty context is replaced by: the begin token, or else the end token.
    pub fn prefix_token(&self) -> u32 {
        self.prefix.id
    }

    /// The end token and its text.
    pub fn eos(&self) -> Option<(u32, &str)> {
        self.eos.as_ref().map(|token| (token.id, token.text.as_str()))
    }

    /// Whether a generation ends with this token: the end token, or another that the model's files name.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The text of the begin token.
    pub fn bos_text(&self) -> Option<&str> {
        self.bos.as_ref().map(|token| token.text.as_str())
    }

    /// The tokens of `text`, with the tokenizer's special tokens unless `text` brings them itself.
    ///
    /// # Errors
    /// [`TokenizerError::Fails`] for a text that the tokenizer refuses, such as one with characters that it has no
    /// token for.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let special = self.add_special_tokens && !text.starts_with(&self.prefix.text);
        self.tokens(text, special)
    }

    /// The tokens of `text` alone.
    ///
    /// # Errors
    /// As [`ModelTokenizer::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.tokens(text, false)
    }

    /// Context and continuation as the harness cuts them: whitespace at the end of the context moves over, both are
    /// encoded as one text, and the continuation is what follows as many tokens as the context has alone.
    /// When a token spans the border, the pair is not the tokenisation of the text; the harness's numbers need it so.
    ///
    /// ```
    /// # use task_eval::ModelTokenizer;
    /// # let tokenizer = ModelTokenizer::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/bos"))?;
    /// let pair = tokenizer.encode_pair("the cat ", "sat")?;
    /// assert_eq!(pair.context, tokenizer.encode("the cat")?, "the space belongs to the answer");
    /// let alone = tokenizer.encode_pair("", "sat")?;
    /// assert_eq!(alone.context, [tokenizer.prefix_token()]);
    /// # Ok::<(), task_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ModelTokenizer::encode`].
    pub fn encode_pair(&self, context: &str, continuation: &str) -> Result<TokenPair, Error> {
        if context.is_empty() {
            return self.encode_after_nothing(continuation);
        }
        let context_tokens = self.encode_context(context)?;
        let continuation = self.encode_continuation(context, context_tokens.len(), continuation)?;
        Ok(TokenPair { context: context_tokens, continuation })
    }

    /// The tokens of a context, which is not empty, as [`ModelTokenizer::encode_pair`] has them.
    pub(crate) fn encode_context(&self, context: &str) -> Result<Vec<u32>, Error> {
        self.encode(rstrip(context))
    }

    /// The tokens of a continuation after a context, which is not empty and has so many tokens, as
    /// [`ModelTokenizer::encode_pair`] has them.
    pub(crate) fn encode_continuation(
        &self,
        context: &str,
        tokens: usize,
        continuation: &str,
    ) -> Result<Vec<u32>, Error> {
        let mut whole = self.encode(&format!("{context}{continuation}"))?;
        Ok(whole.split_off(tokens.min(whole.len())))
    }

    /// The pair of an empty context: the prefix token stands in its place, and is not there twice.
    fn encode_after_nothing(&self, continuation: &str) -> Result<TokenPair, Error> {
        let mut tokens = self.encode_plain(continuation)?;
        let context = vec![self.prefix.id];
        if tokens.first() == Some(&self.prefix.id) {
            tokens.remove(0);
        }
        Ok(TokenPair { context, continuation: tokens })
    }

    /// The text of `tokens`, without special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Fails`] if the tokenizer's decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        let failed = |source| TokenizerError::Fails { file: self.source.clone(), source };
        Ok(self.tokenizer.decode(tokens, true).map_err(failed)?)
    }

    /// The chat templates of the model's folder.
    pub(crate) fn chat_source(&self) -> &ChatSource {
        &self.chat
    }

    /// The tokenizer's file, for errors.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// The text of `tokens`, special tokens included: what stop strings are looked for in.
    pub(crate) fn decode_raw(&self, tokens: &[u32]) -> Option<String> {
        self.tokenizer.decode(tokens, false).ok()
    }

    /// The tokens of a text, by the post-processor as well if `special`.
    fn tokens(&self, text: &str, special: bool) -> Result<Vec<u32>, Error> {
        let encoding = self
            .tokenizer
            .encode_fast(text, special)
            .map_err(|source| TokenizerError::Fails { file: self.source.clone(), source })?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// A special token is written as its text or as an object with `content`.
fn special_token(tokenizer: &Tokenizer, value: &Value) -> Option<SpecialToken> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    Some(SpecialToken { id: tokenizer.token_to_id(text)?, text: text.to_owned() })
}

/// A token's id, or the first of several.
fn first_id(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_array()?.first()?.as_u64())
}

/// A token's id, or several.
fn all_ids(value: &Value) -> Vec<u32> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter_map(|item| u32::try_from(item.as_u64()?).ok()).collect()
}

/// The window that a `config.json` says, by whichever name.
fn window(model: &Value) -> Option<usize> {
    let config = model.get("text_config").unwrap_or(model);
    ["n_positions", "max_position_embeddings", "n_ctx"]
        .iter()
        .find_map(|key| usize::try_from(config.get(key)?.as_u64()?).ok())
}

/// The window that a `tokenizer_config.json` says, unless it is a way to say nothing.
fn tokenizer_window(settings: &Value) -> Option<usize> {
    let length = settings.get("model_max_length")?.as_f64()?;
    // The cast saturates, and the bound keeps it exact.
    (1.0..UNKNOWN_MAX_LENGTH).contains(&length).then_some(length as usize)
}
