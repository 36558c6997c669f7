//! The tokens that a model's tokenizer has, and their ids.
//!
//! Only what tokens there are is read, not how a text is cut into them: rows of embeddings are matched by the text of
//! their tokens.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::sentencepiece::{PieceRole, SentencePiece};
use crate::Error;

/// The tokens of one model, by their ids.
///
/// Read from `tokenizer.json`, else `tokenizer.model`, else `vocab.json`; with what `tokenizer_config.json`
/// (`added_tokens_decoder`) or, where that says nothing, `added_tokens.json` adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// What most of them were read from.
    file: PathBuf,
    /// All of them, the added ones included.
    ids: IndexMap<String, usize>,
    /// The added ones, by their text.
    added: IndexMap<String, AddedToken>,
}

/// A token beside the tokenizer's model, such as `<|im_start|>`: it is found in a text before the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedToken {
    /// Its id.
    pub id: usize,
    /// Its text.
    pub content: String,
    /// `special`, `lstrip`, `rstrip`, `single_word` and `normalized`, as in `tokenizer.json`.
    pub flags: Map<String, Value>,
}

impl AddedToken {
    /// One as a tokenizer makes it that is told nothing but the text; a special one is not shown and not normalised.
    #[must_use]
    pub fn new(id: usize, content: &str, special: bool) -> Self {
        let flags = [
            ("single_word", false),
            ("lstrip", false),
            ("rstrip", false),
            ("normalized", !special),
            ("special", special),
        ];
        let flags = flags.into_iter().map(|(key, flag)| (key.to_owned(), json!(flag))).collect();
        Self { id, content: content.to_owned(), flags }
    }

    /// As the tokenizer's files have it; in `tokenizer_config.json` its id is the key.
    pub(super) fn entry(&self, with_id: bool) -> Map<String, Value> {
        let id = with_id.then(|| ("id".to_owned(), json!(self.id)));
        let content = [("content".to_owned(), json!(self.content))];
        id.into_iter().chain(content).chain(self.flags.clone()).collect()
    }
}

impl Tokens {
    /// Reads the tokens of a model's folder; `None` if it has no tokenizer.
    ///
    /// # Errors
    /// A file of the tokenizer is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(mut tokens) = Self::read_model(folder)? else { return Ok(None) };
        tokens.read_added(folder)?;
        tokens.sort();
        Ok(Some(tokens))
    }

    /// Puts the tokens in the order of their ids.
    fn sort(&mut self) {
        self.ids.sort_by_cached_key(|_, id| *id);
        self.added.sort_by_cached_key(|_, token| token.id);
    }

    /// The file that has most of them.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All tokens and their ids, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.ids.iter().map(|(token, id)| (token.as_str(), *id))
    }

    /// The id of a token.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<usize> {
        self.ids.get(token).copied()
    }

    /// The added tokens, in the order of their ids.
    pub fn added(&self) -> impl Iterator<Item = &AddedToken> {
        self.added.values()
    }

    /// An added token by its text.
    #[must_use]
    pub fn added_token(&self, token: &str) -> Option<&AddedToken> {
        self.added.get(token)
    }

    /// Those of a tokenizer's model, without added ones.
    fn of(file: PathBuf, ids: IndexMap<String, usize>) -> Self {
        Self { file, ids, added: IndexMap::new() }
    }

    /// The tokens of the tokenizer's model, from the first of its files that is there.
    fn read_model(folder: &Path) -> Result<Option<Self>, Error> {
        let file = folder.join("tokenizer.json");
        if let Some(json) = read_json(&file)? {
            return Self::of_tokenizer_json(file, &json).map(Some);
        }
        let file = folder.join("tokenizer.model");
        if let Some(bytes) = read(&file)? {
            let model = sentencepiece(&file, &bytes)?;
            return Self::of_sentencepiece(file, &model, folder).map(Some);
        }
        let file = folder.join("vocab.json");
        let Some(json) = read_json(&file)? else { return Ok(None) };
        let ids = id_map(&json)
            .ok_or_else(|| Error::Tokenizer { file: file.clone(), problem: "is no mapping of tokens to ids" })?;
        Ok(Some(Self::of(file, ids)))
    }

    /// The tokens of a SentencePiece model, with what the files beside it add. Its own tokens for what is unknown,
    /// begin and end are added tokens, as in the `tokenizer.json` that is made of it.
    pub(super) fn of_sentencepiece(file: PathBuf, model: &SentencePiece, folder: &Path) -> Result<Self, Error> {
        let ids = model.pieces.iter().zip(0..).map(|(piece, id)| (piece.text.clone(), id)).collect();
        let mut tokens = Self::of(file, ids);
        tokens.read_added(folder)?;
        for (id, piece) in model.pieces.iter().enumerate() {
            let special = matches!(piece.role, PieceRole::Unknown | PieceRole::Control);
            if special && !tokens.added.values().any(|token| token.id == id) {
                tokens.insert(AddedToken::new(id, &piece.text, true));
            }
        }
        tokens.sort();
        Ok(tokens)
    }

    /// The tokens of a `tokenizer.json`, of whose models BPE, WordPiece and WordLevel have a mapping and Unigram a
    /// list.
    fn of_tokenizer_json(file: PathBuf, json: &Value) -> Result<Self, Error> {
        let fail = |problem| Error::Tokenizer { file: file.clone(), problem };
        // Unigram has a list of pieces with scores.
        let piece = |(id, piece): (usize, &Value)| Some((piece.get(0)?.as_str()?.to_owned(), id));
        let ids = match &json["model"]["vocab"] {
            Value::Array(pieces) => pieces.iter().enumerate().map(piece).collect(),
            map => id_map(map),
        };
        let mut tokens = Self::of(file.clone(), ids.ok_or_else(|| fail("has no `model.vocab` of tokens and ids"))?);
        for entry in json["added_tokens"].as_array().into_iter().flatten() {
            let id = entry["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            tokens.add(id, entry).ok_or_else(|| fail("has an entry of `added_tokens` without `id` and `content`"))?;
        }
        Ok(tokens)
    }

    /// What stands in the files beside the tokenizer's own.
    fn read_added(&mut self, folder: &Path) -> Result<(), Error> {
        let file = folder.join("tokenizer_config.json");
        let config = read_object(&file)?.unwrap_or_default();
        if let Some(decoder) = config.get("added_tokens_decoder").and_then(Value::as_object) {
            for (id, entry) in decoder {
                let problem = "has an entry of `added_tokens_decoder` without id or `content`";
                self.add(id.parse().ok(), entry).ok_or_else(|| Error::Tokenizer { file: file.clone(), problem })?;
            }
            return Ok(());
        }
        let file = folder.join("added_tokens.json");
        let Some(added) = read_json(&file)? else { return Ok(()) };
        let problem = "is no mapping of tokens to ids";
        let added = id_map(&added).ok_or(Error::Tokenizer { file, problem })?;
        let named = read_object(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
        let special: Vec<&str> =
            named.values().filter_map(|token| token.as_str().or(token["content"].as_str())).collect();
        for (token, id) in added.into_iter().filter(|(token, _)| !self.added.contains_key(token)).collect::<Vec<_>>() {
            let is_special = special.contains(&token.as_str());
            self.insert(AddedToken::new(id, &token, is_special));
        }
        Ok(())
    }

    /// Adds an entry with a `content`, unless the token is there already.
    fn add(&mut self, id: Option<usize>, entry: &Value) -> Option<()> {
        let (id, content) = (id?, entry["content"].as_str()?);
        if !self.added.contains_key(content) {
            let mut token = AddedToken::new(id, content, false);
            let of_entry = |(key, flag): (&String, &mut Value)| {
                if let Some(said) = entry.get(key) {
                    flag.clone_from(said);
                }
            };
            token.flags.iter_mut().for_each(of_entry);
            self.insert(token);
        }
        Some(())
    }

    /// Adds an added token; one that the tokenizer's model has too keeps its id there.
    fn insert(&mut self, token: AddedToken) {
        // The tokenizer's own word for the id holds.
        let id = *self.ids.entry(token.content.clone()).or_insert(token.id);
        self.added.insert(token.content.clone(), AddedToken { id, ..token });
    }
}

/// A mapping of tokens to ids; `None` if it is anything else.
fn id_map(json: &Value) -> Option<IndexMap<String, usize>> {
    let id = |(token, id): (&String, &Value)| Some((token.clone(), usize::try_from(id.as_u64()?).ok()?));
    json.as_object()?.iter().map(id).collect()
}

/// A SentencePiece model of a file's bytes.
pub(super) fn sentencepiece(file: &Path, bytes: &[u8]) -> Result<SentencePiece, Error> {
    let problem = "is no SentencePiece model";
    SentencePiece::parse(bytes).ok_or_else(|| Error::Tokenizer { file: file.to_owned(), problem })
}

/// A file's bytes; `None` if it is not there.
pub(super) fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { file: file.to_owned(), source }),
    }
}

/// A file that is one JSON object; `None` if it is not there.
pub(super) fn read_object(file: &Path) -> Result<Option<Map<String, Value>>, Error> {
    match read_json(file)? {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Error::Tokenizer { file: file.to_owned(), problem: "is no mapping of keys to values" }),
    }
}

/// A file's JSON; `None` if it is not there.
fn read_json(file: &Path) -> Result<Option<Value>, Error> {
    let json =
        |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|source| Error::Json { file: file.to_owned(), source });
    read(file)?.map(json).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn read_with(files: &[(&str, Value)]) -> Result<Option<Tokens>, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content.to_string())?;
        }
        Ok(Tokens::read(folder.path())?)
    }

    fn tokenizer(vocab: Value) -> (&'static str, Value) {
        let pad = json!({"id": 3, "content": "<pad>", "special": true, "normalized": false});
        ("tokenizer.json", json!({"model": {"type": "BPE", "vocab": vocab}, "added_tokens": [pad]}))
    }

    #[test]
    fn tokens_are_those_of_the_model_and_those_that_were_added() -> Outcome {
        let vocabularies = [json!({"b": 1, "a": 0, "c": 2}), json!([["a", -1.0], ["b", -2.0], ["c", -3.0]])];
        for vocab in vocabularies {
            let tokens = read_with(&[tokenizer(vocab)])?.ok_or("none")?;
            assert_eq!(tokens.iter().collect::<Vec<_>>(), [("a", 0), ("b", 1), ("c", 2), ("<pad>", 3)]);
            assert_eq!(tokens.added().map(|token| token.flags["special"] == true).collect::<Vec<_>>(), [true]);
            assert_eq!((tokens.id("c"), tokens.id("d")), (Some(2), None));
        }
        assert_eq!(read_with(&[])?, None);
        Ok(())
    }

    #[test]
    fn what_stands_in_other_files_is_added() -> Outcome {
        let vocab = || tokenizer(json!({"a": 0, "b": 1, "c": 2}));
        let old = ("added_tokens.json", json!({"<x>": 5, "[PAD]": 4, "<pad>": 9}));
        let map = ("special_tokens_map.json", json!({"pad_token": "[PAD]", "unk_token": {"content": "a"}}));
        let tokens = read_with(&[vocab(), old.clone(), map])?.ok_or("none")?;
        let added = |tokens: &Tokens| tokens.added().map(|token| (token.content.clone(), token.id)).collect::<Vec<_>>();
        let named =
            |list: &[(&str, usize)]| list.iter().map(|(token, id)| ((*token).to_owned(), *id)).collect::<Vec<_>>();
        assert_eq!(added(&tokens), named(&[("<pad>", 3), ("[PAD]", 4), ("<x>", 5)]), "tokenizer.json goes before");
        let special = |token| tokens.added_token(token).map(|token| token.flags["special"] == true);
        assert_eq!((special("[PAD]"), special("<x>")), (Some(true), Some(false)));
        let config =
            ("tokenizer_config.json", json!({"added_tokens_decoder": {"4": {"content": "<new>", "lstrip": true}}}));
        let tokens = read_with(&[vocab(), old, config])?.ok_or("none")?;
        assert_eq!(added(&tokens), named(&[("<pad>", 3), ("<new>", 4)]));
        assert_eq!(tokens.added_token("<new>").map(|token| token.flags["lstrip"] == true), Some(true));
        Ok(())
    }

    #[test]
    fn a_damaged_tokenizer_is_named() {
        let message =
            |files: &[(&str, Value)]| read_with(files).err().map_or_else(String::new, |error| error.to_string());
        assert!(
            message(&[("tokenizer.json", json!({}))]).contains("tokenizer.json: the tokenizer has no `model.vocab`")
        );
        assert!(
            message(&[("tokenizer.model", json!({}))]).contains("tokenizer.model: the tokenizer is no SentencePiece")
        );
        let decoder = ("tokenizer_config.json", json!({"added_tokens_decoder": {"x": {"content": "a"}}}));
        assert!(message(&[tokenizer(json!({})), decoder]).contains("`added_tokens_decoder`"));
        assert!(message(&[("vocab.json", json!({"a": -1}))]).contains("vocab.json: the tokenizer is no mapping"));
    }
}
