//! The files of the tokenizer that stands beside a recipe's weights.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::tokens::{AddedToken, read_json};
use super::{Alignment, chat_template};
use crate::{Checkpoint, Error, Family, ValidRecipe};

/// The tokenizer's files that differ from those of [`crate::Recipe::tokenizer_owner`], by name; all others of that model are to be copied as they are.
///
/// # Errors
/// A file cannot be read, or the tokenizer is of a kind that cannot be extended.
pub fn tokenizer_files(family: &Family, recipe: &ValidRecipe) -> Result<IndexMap<String, Vec<u8>>, Error> {
    let mut files = Files { owner: family.get(recipe.tokenizer_owner())?, changed: IndexMap::new() };
    if let Some(alignment) = recipe.alignment() {
        files.align(alignment)?;
    }
    if let Some(template) = chat_template::text(family, recipe)? {
        files.speak(&template)?;
    }
    files.written()
}

struct Files<'a> {
    owner: &'a Checkpoint,
    changed: IndexMap<&'static str, Value>,
}

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";
const SPECIAL: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";

impl Files<'_> {
    /// A file as it is so far; `None` if the owner has none.
    fn get(&mut self, name: &'static str) -> Result<Option<&mut Value>, Error> {
        if !self.changed.contains_key(name)
            && let Some(json) = read_json(&self.owner.dir().join(name))?
        {
            self.changed.insert(name, json);
        }
        Ok(self.changed.get_mut(name))
    }

    fn align(&mut self, alignment: &Alignment) -> Result<(), Error> {
        let kept =
            |token: &str, id: usize| alignment.tokens().get(id).is_some_and(|kept| kept.as_deref() == Some(token));
        let owned = self.owner.tokens()?;
        let lost: Vec<&str> = owned
            .into_iter()
            .flat_map(super::Tokens::iter)
            .filter(|(token, id)| !kept(token, *id))
            .map(|(token, _)| token)
            .collect();
        if lost.is_empty() && alignment.added().is_empty() {
            return Ok(());
        }
        let folder = self.owner.dir().to_owned();
        let Some(tokenizer) = self.get(TOKENIZER)? else { return Err(Error::NoTokenizerJson { folder }) };
        let problem = "has a vocabulary in which tokens have no row and cannot be left out";
        edit(tokenizer, &lost, alignment.added())
            .ok_or_else(|| Error::Tokenizer { file: folder.join(TOKENIZER), problem })?;
        if let Some(Value::Object(decoder)) = self.get(CONFIG)?.map(|config| &mut config["added_tokens_decoder"]) {
            decoder.retain(|_, entry| !entry["content"].as_str().is_some_and(|token| lost.contains(&token)));
            decoder.extend(alignment.added().iter().map(|token| (token.id.to_string(), entry(token, false).into())));
        }
        if let Some(Value::Object(added)) = self.get(ADDED)? {
            added.retain(|token, _| !lost.contains(&token.as_str()));
            added.extend(alignment.added().iter().map(|token| (token.content.clone(), json!(token.id))));
        }
        if let Some(token) = alignment.added().last().filter(|_| alignment.pads()) {
            for name in [CONFIG, SPECIAL] {
                if let Some(Value::Object(config)) = self.get(name)? {
                    config.insert("pad_token".to_owned(), json!(token.content));
                }
            }
        }
        Ok(())
    }

    fn speak(&mut self, template: &str) -> Result<(), Error> {
        if self.get(CONFIG)?.is_none() {
            self.changed.insert(CONFIG, json!({}));
        }
        if let Some(Value::Object(config)) = self.get(CONFIG)? {
            config.insert("chat_template".to_owned(), json!(template));
        }
        self.changed.insert(TEMPLATE, json!(template));
        Ok(())
    }

    fn written(self) -> Result<IndexMap<String, Vec<u8>>, Error> {
        let mut files = IndexMap::new();
        for (name, content) in self.changed {
            let bytes = match content {
                Value::String(text) => text.into_bytes(),
                json => {
                    let file = self.owner.dir().join(name);
                    let mut text = serde_json::to_vec_pretty(&json).map_err(|source| Error::Json { file, source })?;
                    text.push(b'\n');
                    text
                }
            };
            files.insert(name.to_owned(), bytes);
        }
        Ok(files)
    }
}

/// Takes tokens out of a `tokenizer.json` and puts others in; `None` if one that goes is in a vocabulary that must stay whole.
fn edit(tokenizer: &mut Value, lost: &[&str], added: &[AddedToken]) -> Option<()> {
    let is_lost = |token: &Value| token.as_str().is_some_and(|token| lost.contains(&token));
    match &mut tokenizer["model"]["vocab"] {
        Value::Object(vocabulary) => vocabulary.retain(|token, _| !lost.contains(&token.as_str())),
        Value::Array(pieces) if pieces.iter().any(|piece| is_lost(&piece[0])) => return None,
        _ => {}
    }
    if let Value::Array(merges) = &mut tokenizer["model"]["merges"] {
        merges
            .retain(|merge| !merged(merge).is_some_and(|parts| parts.iter().any(|part| lost.contains(&part.as_str()))));
    }
    let entries = &mut tokenizer["added_tokens"];
    if !entries.is_array() {
        *entries = json!([]);
    }
    let entries = entries.as_array_mut()?;
    let again = |token: &Value| added.iter().any(|new| token == new.content.as_str());
    entries.retain(|old| !is_lost(&old["content"]) && !again(&old["content"]));
    entries.extend(added.iter().map(|token| entry(token, true).into()));
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

fn entry(token: &AddedToken, with_id: bool) -> Map<String, Value> {
    let id = with_id.then(|| ("id".to_owned(), json!(token.id)));
    let content = [("content".to_owned(), json!(token.content))];
    id.into_iter().chain(content).chain(token.flags.clone()).collect()
}
