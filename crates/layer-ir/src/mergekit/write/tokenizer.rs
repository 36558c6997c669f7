//! The tokenizer's part of the file.

use serde_yaml_ng::{Mapping, Value as Yaml};

use super::{Writer, cannot, mapped};
use crate::{Align, Error, Place, RowOf, TokenRow, Vocabulary};

impl Writer<'_> {
    /// Writes `chat_template`, and `tokenizer_source` or the longer `tokenizer`.
    pub(super) fn tokenizer(&self, file: &mut Mapping) -> Result<(), Error> {
        if let Some(template) = &self.recipe.chat_template {
            file.insert("chat_template".into(), template.as_str().into());
        }
        if self.recipe.tokenizer.as_ref().is_some_and(|owner| *owner != self.recipe.base) {
            return Err(cannot(
                Place::Tokenizer,
                "mergekit copies the base's files; say `vocabulary: {align: {model: ...}}` instead",
            ));
        }
        let Some(vocabulary) = &self.recipe.vocabulary else { return Ok(()) };
        let source = match &vocabulary.align {
            Align::Base => "base".into(),
            Align::Union => "union".into(),
            Align::Model(model) => self.source(model),
            Align::Gptailor => {
                return Err(cannot(Place::Vocabulary, "mergekit has no `gptailor` vocabulary; `union` is its nearest"));
            }
        };
        let Vocabulary { tokens, pad_to_multiple_of, .. } = vocabulary;
        if tokens.is_empty() && pad_to_multiple_of.is_none() {
            file.insert("tokenizer_source".into(), source);
            return Ok(());
        }
        if tokens.contains_key("<<") {
            return Err(cannot(Place::Vocabulary, "in YAML a token `<<` would be a merge of mappings"));
        }
        let mut tokenizer = Mapping::new();
        tokenizer.insert("source".into(), source);
        if !tokens.is_empty() {
            let tokens: Mapping = tokens.iter().map(|(token, row)| (token.as_str().into(), self.token(row))).collect();
            tokenizer.insert("tokens".into(), tokens.into());
        }
        if let Some(multiple) = pad_to_multiple_of {
            tokenizer.insert("pad_to_multiple_of".into(), (*multiple).into());
        }
        file.insert("tokenizer".into(), tokenizer.into());
        Ok(())
    }

    /// What is said of one token.
    fn token(&self, row: &TokenRow) -> Yaml {
        let kind = |kind: &str| (Yaml::from("kind"), Yaml::from(kind));
        let of = |model: &str, key: &str, value: Yaml| {
            let entries = [kind("model_token"), ("model".into(), self.reference(model)), (key.into(), value)];
            Yaml::from(Mapping::from_iter(entries))
        };
        let source = row.from.as_ref().map(|from| match from {
            RowOf::Zero => Mapping::from_iter([kind("zero")]).into(),
            RowOf::Model(model) => self.reference(model),
            RowOf::Token { model, token } => of(model, "token", token.as_str().into()),
            RowOf::Id { model, id } => of(model, "token_id", (*id).into()),
        });
        let mut written: Mapping = source.map(|source| ("source".into(), source)).into_iter().collect();
        if row.force {
            written.insert("force".into(), true.into());
        }
        written.into()
    }

    /// A model as the source of the tokenizer, which may not be taken for one of its words.
    fn source(&self, model: &str) -> Yaml {
        match self.reference(model) {
            Yaml::String(word) if word == "base" || word == "union" => mapped(&word),
            reference => reference,
        }
    }
}
