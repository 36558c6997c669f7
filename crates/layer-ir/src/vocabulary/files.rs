//! The files of the tokenizer that stands beside a recipe's weights.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::tokens::{AddedToken, read_object};
use super::{Alignment, Tokens, chat_template, convert_tokenizer};
use crate::{Checkpoint, Error, Family, ValidRecipe};

/// The tokenizer's files that differ from those of [`crate::Recipe::tokenizer_owner`], by name; among them a
/// `tokenizer.json` where that model has a `tokenizer.model` alone ([`convert_tokenizer`]). All other files of that
/// model's tokenizer are to be copied as they are.
///
/// # Errors
/// [`Error::Read`], [`Error::Json`] and [`Error::Tokenizer`] name a file that cannot be read or is damaged;
/// [`Error::NoTokenizerJson`] where tokens are added to a tokenizer without `tokenizer.json`.
pub fn tokenizer_files(family: &Family, recipe: &ValidRecipe) -> Result<IndexMap<String, Vec<u8>>, Error> {
    let owner = family.get(recipe.tokenizer_owner())?;
    let mut files = TokenizerFiles { owner, changed: IndexMap::new() };
    files.convert()?;
    if let Some(alignment) = recipe.alignment() {
        files.align(alignment)?;
    }
    let template = chat_template::text(family, recipe)?;
    if let Some(template) = &template {
        files.set_chat_template(template)?;
    }
    let mut written = files.written()?;
    written.extend(template.map(|template| (TEMPLATE.to_owned(), template.into_bytes())));
    Ok(written)
}

/// The owner's files that are changed, each of them one JSON object.
struct TokenizerFiles<'a> {
    /// The model that they are of.
    owner: &'a Checkpoint,
    /// Their content by name.
    changed: IndexMap<&'static str, Map<String, Value>>,
}

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";
const SPECIAL: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";

impl TokenizerFiles<'_> {
    /// Where a file of the owner's lies.
    fn path(&self, name: &str) -> PathBuf {
        self.owner.dir().join(name)
    }

    /// A file as it is so far; `None` if the owner has none.
    fn get(&self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        self.changed.get(name).cloned().map_or_else(|| read_object(&self.path(name)), |object| Ok(Some(object)))
    }

    /// Changes a file that the owner has. A file that stays as it is does not count as changed.
    fn change(&mut self, name: &'static str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Error> {
        if let Some(before) = self.get(name)? {
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                self.changed.insert(name, after);
            }
        }
        Ok(())
    }

    /// Makes a `tokenizer.json` where the owner has a `tokenizer.model` alone. The special tokens that only that file
    /// names go into `tokenizer_config.json`.
    fn convert(&mut self) -> Result<(), Error> {
        if self.path(TOKENIZER).exists() {
            return Ok(());
        }
        let Some(made) = convert_tokenizer(self.owner.dir())? else { return Ok(()) };
        let special = self.get(SPECIAL)?.unwrap_or_default();
        let mut config = self.get(CONFIG)?.unwrap_or_default();
        for (key, token) in [("bos_token", made.bos), ("eos_token", made.eos), ("unk_token", made.unk)] {
            if let Some(token) = token.filter(|_| !special.contains_key(key)) {
                config.entry(key).or_insert_with(|| json!(token));
            }
        }
        self.changed.extend([(TOKENIZER, made.json), (CONFIG, config)]);
        Ok(())
    }

    /// Gives the tokenizer the alignment's tokens: takes out those without a row, adds the new ones, in every file that
    /// lists tokens.
    fn align(&mut self, alignment: &Alignment) -> Result<(), Error> {
        let added = alignment.added();
        let kept =
            |token: &str, id: usize| alignment.tokens().get(id).is_some_and(|kept| kept.as_deref() == Some(token));
        let owned = self.owner.tokens()?.into_iter().flat_map(Tokens::iter);
        let lost: Vec<&str> = owned.filter(|(token, id)| !kept(token, *id)).map(|(token, _)| token).collect();
        if lost.is_empty() && added.is_empty() {
            return Ok(());
        }
        let Some(mut tokenizer) = self.get(TOKENIZER)? else {
            return Err(Error::NoTokenizerJson { folder: self.owner.dir().to_owned() });
        };
        let problem = "has a vocabulary in which tokens have no row and cannot be left out";
        edit(&mut tokenizer, &lost, added).ok_or_else(|| Error::Tokenizer { file: self.path(TOKENIZER), problem })?;
        self.changed.insert(TOKENIZER, tokenizer);
        self.change(CONFIG, |config| {
            if let Some(Value::Object(decoder)) = config.get_mut("added_tokens_decoder") {
                decoder.retain(|_, entry| !entry["content"].as_str().is_some_and(|token| lost.contains(&token)));
                decoder.extend(added.iter().map(|token| (token.id.to_string(), token.entry(false).into())));
            }
        })?;
        self.change(ADDED, |ids| {
            ids.retain(|token, _| !lost.contains(&token.as_str()));
            ids.extend(added.iter().map(|token| (token.content.clone(), json!(token.id))));
        })?;
        if let Some(token) = added.last().filter(|_| alignment.last_is_padding()) {
            for name in [CONFIG, SPECIAL] {
                self.change(name, |config| drop(config.insert("pad_token".to_owned(), json!(token.content))))?;
            }
        }
        Ok(())
    }

    /// Writes the template into `tokenizer_config.json`, where older software looks for it. The file is made if the
    /// owner has none.
    fn set_chat_template(&mut self, template: &str) -> Result<(), Error> {
        let mut config = self.get(CONFIG)?.unwrap_or_default();
        config.insert("chat_template".to_owned(), json!(template));
        self.changed.insert(CONFIG, config);
        Ok(())
    }

    /// The changed files as they are to be written.
    fn written(self) -> Result<IndexMap<String, Vec<u8>>, Error> {
        let bytes = |(name, content): (&&'static str, &Map<String, Value>)| {
            let json = |source| Error::Json { file: self.path(name), source };
            let mut text = serde_json::to_vec_pretty(content).map_err(json)?;
            text.push(b'\n');
            Ok(((*name).to_owned(), text))
        };
        self.changed.iter().map(bytes).collect()
    }
}

/// Takes tokens out of a `tokenizer.json` and puts others in; `None` if one that goes is in a vocabulary that must stay
/// whole.
fn edit(tokenizer: &mut Map<String, Value>, lost: &[&str], added: &[AddedToken]) -> Option<()> {
    let is_lost = |token: &Value| token.as_str().is_some_and(|token| lost.contains(&token));
    let model = tokenizer.get_mut("model")?.as_object_mut()?;
    match model.get_mut("vocab") {
        Some(Value::Object(vocabulary)) => vocabulary.retain(|token, _| !lost.contains(&token.as_str())),
        Some(Value::Array(pieces)) if pieces.iter().any(|piece| is_lost(&piece[0])) => return None,
        _ => {}
    }
    if let Some(Value::Array(merges)) = model.get_mut("merges") {
        merges
            .retain(|merge| !merged(merge).is_some_and(|parts| parts.iter().any(|part| lost.contains(&part.as_str()))));
    }
    let entries = tokenizer.entry("added_tokens").or_insert_with(|| json!([]));
    if !entries.is_array() {
        *entries = json!([]);
    }
    let entries = entries.as_array_mut()?;
    let again = |token: &Value| added.iter().any(|new| token == new.content.as_str());
    entries.retain(|old| !is_lost(&old["content"]) && !again(&old["content"]));
    entries.extend(added.iter().map(|token| token.entry(true).into()));
    entries.sort_by_key(|entry| entry["id"].as_u64());
    Some(())
}

/// The two tokens that a BPE merge joins, and what they become.
fn merged(merge: &Value) -> Option<[String; 3]> {
    let (left, right) = match merge {
        Value::String(pair) => pair.split_once(' ')?,
        pair => (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?),
    };
    Some([left.to_owned(), right.to_owned(), format!("{left}{right}")])
}
