//! A SentencePiece model as `tokenizer.json`, so that all that reads the one reads the other.
//!
//! As `convert_slow_tokenizer.py` of transformers does for Llama, with the rules of SentencePiece itself where the two
//! differ: which spaces are removed, the prefix also before a text that begins with `▁`, user-defined pieces that are
//! no words of their own, merges by score.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::merges::merges;
use super::{Kind, PieceRole, SentencePiece};
use crate::Error;
use crate::vocabulary::tokens::{self, Tokens};

/// The sign that SentencePiece has for a space.
const SPACE: &str = "▁";

/// A tokenizer that was made of a `tokenizer.model`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvertedTokenizer {
    /// The content of a `tokenizer.json`.
    pub json: Map<String, Value>,
    /// The begin token, of the settings beside the model or else of the model itself.
    pub bos: Option<String>,
    /// The end token, as the begin token.
    pub eos: Option<String>,
    /// The token for what is unknown.
    pub unk: Option<String>,
}

/// Makes a `tokenizer.json` of the `tokenizer.model` in a folder, with what `tokenizer_config.json`,
/// `special_tokens_map.json` and `added_tokens.json` say; `None` if the folder has none.
///
/// Settings that are read: the names of begin and end token, `added_tokens_decoder`, `add_bos_token` (true if not said,
/// as Llama's), `add_eos_token` (false), `add_prefix_space` (true), and `legacy` (true, as up to transformers 4):
/// whether the text behind each added token gets the prefix too, or only the text's beginning.
///
/// # Errors
/// [`Error::Read`], [`Error::Json`], [`Error::Tokenizer`]: a file that is damaged, or a model of a kind that
/// `tokenizer.json` cannot hold: of words or characters, with spaces behind words, or with unescaped ones.
pub fn convert_tokenizer(folder: &Path) -> Result<Option<ConvertedTokenizer>, Error> {
    let file = folder.join("tokenizer.model");
    let Some(bytes) = tokens::read(&file)? else { return Ok(None) };
    let model = tokens::sentencepiece(&file, &bytes)?;
    let settings = Settings {
        files: [
            tokens::read_object(&folder.join("tokenizer_config.json"))?.unwrap_or_default(),
            tokens::read_object(&folder.join("special_tokens_map.json"))?.unwrap_or_default(),
        ],
    };
    let tokens = Tokens::of_sentencepiece(file.clone(), &model, folder)?;
    Conversion { file, model: &model, settings: &settings, tokens: &tokens }.tokenizer().map(Some)
}

/// The settings beside a model.
struct Settings {
    files: [Map<String, Value>; 2],
}

impl Settings {
    /// The text of a special token.
    fn token(&self, key: &str) -> Option<String> {
        let text = |value: &Value| Some(value.as_str().or_else(|| value["content"].as_str())?.to_owned());
        self.files.iter().find_map(|file| text(file.get(key)?))
    }

    /// A flag of `tokenizer_config.json`.
    fn flag(&self, key: &str, default: bool) -> bool {
        self.files[0].get(key).and_then(Value::as_bool).unwrap_or(default)
    }
}

/// A model and what stands beside it.
struct Conversion<'a> {
    file: PathBuf,
    model: &'a SentencePiece,
    settings: &'a Settings,
    tokens: &'a Tokens,
}

impl Conversion<'_> {
    fn tokenizer(&self) -> Result<ConvertedTokenizer, Error> {
        let model = self.model;
        let fail = |problem| Error::Tokenizer { file: self.file.clone(), problem };
        if model.space_behind || !model.normalizer.escape_whitespaces {
            return Err(fail(
                "is a SentencePiece model with spaces behind words, or with plain ones; no tokenizer.json is such",
            ));
        }
        let unknown = model.unknown().ok_or_else(|| fail("is a SentencePiece model without an unknown piece"))?;
        // A token that was renamed has another text than its piece.
        let mut texts: Vec<&str> = model.pieces.iter().map(|piece| piece.text.as_str()).collect();
        for token in self.tokens.added() {
            if let Some(text) = texts.get_mut(token.id) {
                *text = &token.content;
            }
        }
        let known = |name: &str, own: Option<&String>| {
            let named = self.settings.token(name).or_else(|| own.cloned());
            named.filter(|token| self.tokens.id(token).is_some())
        };
        let (bos, eos) = (known("bos_token", model.bos.as_ref()), known("eos_token", model.eos.as_ref()));
        let algorithm = match model.kind {
            Kind::Bpe => self.bpe(&texts, unknown),
            Kind::Unigram => self.unigram(&texts, unknown),
            Kind::Other => {
                return Err(fail("is a SentencePiece model of words or characters; only BPE and unigram are read"));
            }
        };
        let json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added_tokens(),
            "normalizer": self.normalizer(),
            "pre_tokenizer": self.pre_tokenizer(),
            "post_processor": self.post_processor(bos.as_deref(), eos.as_deref()),
            "decoder": self.decoder(),
            "model": algorithm,
        });
        let Value::Object(json) = json else { return Err(fail("is no SentencePiece model")) };
        Ok(ConvertedTokenizer { json, bos, eos, unk: texts.get(unknown).map(|text| (*text).to_owned()) })
    }

    /// The added tokens. They are found in the text as it stands, as the Python tokenizers of such models do it,
    /// whatever `normalized` says: a prepared token would begin with a prefix, and be found at a text's beginning only.
    fn added_tokens(&self) -> Vec<Map<String, Value>> {
        let entry = |token: &tokens::AddedToken| {
            let mut entry = token.entry(true);
            entry.insert("normalized".to_owned(), json!(false));
            entry
        };
        self.tokens.added().map(entry).collect()
    }

    fn bpe(&self, texts: &[&str], unknown: usize) -> Value {
        let vocab: Map<String, Value> =
            texts.iter().zip(0..).map(|(text, id)| ((*text).to_owned(), json!(id))).collect();
        json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": texts[unknown],
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": self.model.byte_fallback,
            // A user-defined piece has no merges.
            "ignore_merges": self.user_defined().next().is_some(),
            "vocab": vocab,
            "merges": merges(&self.model.pieces, texts),
        })
    }

    fn unigram(&self, texts: &[&str], unknown: usize) -> Value {
        let piece = |(text, piece): (&&str, &super::Piece)| json!([text, f64::from(piece.score)]);
        let vocab: Vec<Value> = texts.iter().zip(&self.model.pieces).map(piece).collect();
        json!({"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": self.model.byte_fallback})
    }

    /// Whether the text behind each added token gets a prefix.
    fn prefix_everywhere(&self) -> bool {
        self.settings.flag("legacy", true)
    }

    fn has_prefix(&self) -> bool {
        self.model.normalizer.add_dummy_prefix && self.settings.flag("add_prefix_space", true)
    }

    fn normalizer(&self) -> Value {
        let replaced = |pattern: &str, content: &str| {
            let pattern = json!({"Regex": pattern});
            json!({"type": "Replace", "pattern": pattern, "content": content})
        };
        let normalizer = &self.model.normalizer;
        let mut steps = Vec::new();
        if !normalizer.charsmap.is_empty() {
            steps.push(json!({"type": "Precompiled", "precompiled_charsmap": BASE64.encode(&normalizer.charsmap)}));
        }
        if normalizer.remove_extra_whitespaces {
            steps.extend([replaced(r"\A +", ""), replaced(" {2,}", " ")]);
        }
        if self.has_prefix() && self.prefix_everywhere() {
            steps.push(json!({"type": "Prepend", "prepend": SPACE}));
        }
        steps.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}));
        if normalizer.remove_extra_whitespaces {
            steps.push(replaced("▁+\\z", ""));
        }
        json!({"type": "Sequence", "normalizers": steps})
    }

    fn pre_tokenizer(&self) -> Value {
        let mut steps = Vec::new();
        if self.has_prefix() && !self.prefix_everywhere() {
            // The prefix stands also before a text that begins with `▁`: so it is a space first, which no text begins
            // with here.
            steps.extend([metaspace(" ", "first", false), metaspace(SPACE, "never", false)]);
        }
        let mut user_defined: Vec<&str> = self.user_defined().collect();
        if !user_defined.is_empty() {
            // The longest first.
            user_defined.sort_by_key(|text| std::cmp::Reverse(text.len()));
            let pattern = user_defined.into_iter().map(escaped).collect::<Vec<_>>().join("|");
            steps
                .push(json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}));
        }
        if self.model.kind == Kind::Unigram && self.words_are_apart() {
            steps.push(metaspace(SPACE, "never", true));
        }
        if steps.is_empty() { Value::Null } else { json!({"type": "Sequence", "pretokenizers": steps}) }
    }

    /// Whether no piece goes from one word into the next, so that words can be cut alone.
    fn words_are_apart(&self) -> bool {
        let pieces = &self.model.pieces;
        let inside = |text: &str| text.char_indices().skip(1).any(|(at, _)| text[at..].starts_with(SPACE));
        pieces.iter().any(|piece| piece.text == SPACE) && !pieces.iter().any(|piece| inside(&piece.text))
    }

    /// The user-defined pieces that are no added tokens.
    fn user_defined(&self) -> impl Iterator<Item = &str> {
        let pieces = self.model.pieces.iter().filter(|piece| piece.role == PieceRole::UserDefined);
        let texts = pieces.map(|piece| piece.text.as_str());
        texts.filter(|text| !text.is_empty() && self.tokens.added_token(text).is_none())
    }

    /// What puts the begin and end tokens around a text.
    fn post_processor(&self, bos: Option<&str>, eos: Option<&str>) -> Value {
        let bos = bos.filter(|_| self.settings.flag("add_bos_token", true));
        let eos = eos.filter(|_| self.settings.flag("add_eos_token", false));
        if bos.is_none() && eos.is_none() {
            return Value::Null;
        }
        let special = |token: &str, of: u8| json!({"SpecialToken": {"id": token, "type_id": of}});
        let sequence = |id: &str, of: u8| {
            let parts = [bos.map(|token| special(token, of)), Some(json!({"Sequence": {"id": id, "type_id": of}}))];
            parts.into_iter().chain([eos.map(|token| special(token, of))]).flatten().collect::<Vec<_>>()
        };
        let named =
            |token: &str| (token.to_owned(), json!({"id": token, "ids": [self.tokens.id(token)], "tokens": [token]}));
        let tokens: Map<String, Value> = bos.into_iter().chain(eos).map(named).collect();
        let pair = [sequence("A", 0), sequence("B", 1)].concat();
        json!({"type": "TemplateProcessing", "single": sequence("A", 0), "pair": pair, "special_tokens": tokens})
    }

    fn decoder(&self) -> Value {
        let mut steps = vec![json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "})];
        if self.model.byte_fallback {
            steps.push(json!({"type": "ByteFallback"}));
        }
        steps.push(json!({"type": "Fuse"}));
        if self.has_prefix() {
            steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({"type": "Sequence", "decoders": steps})
    }
}

/// What puts a prefix before a text, and cuts it into words if `split`.
fn metaspace(replacement: &str, scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split})
}

/// A text as a regular expression that finds it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
