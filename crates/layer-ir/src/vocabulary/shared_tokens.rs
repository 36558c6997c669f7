//! The tokens of a shared vocabulary, by each value of [`Align`].

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::tokens::{AddedToken, Tokens};
use crate::{Align, Error, Vocabulary};

/// A model that gives tokens.
pub(super) struct ModelTokens<'a> {
    /// Its name in the family.
    pub name: &'a str,
    /// Its own, or the base's if it has no tokenizer.
    pub tokens: &'a Tokens,
    /// Rows of its embedding.
    pub rows: usize,
}

impl ModelTokens<'_> {
    /// The row of a token. `None` also for a token that the tokenizer has and the embedding lacks.
    pub fn row(&self, token: &str) -> Option<usize> {
        self.tokens.id(token).filter(|id| *id < self.rows)
    }
}

/// The tokens of a shared vocabulary.
pub(super) struct SharedTokens {
    /// The tokens by id. `None` is a row of the base that its tokenizer need not know.
    pub tokens: Vec<Option<String>>,
    /// What the tokenizer gets: new tokens, and old ones that become added tokens.
    pub added: Vec<AddedToken>,
}

impl SharedTokens {
    /// `models` begin with the base; `owner` is the model whose tokenizer is extended.
    pub fn of(vocabulary: &Vocabulary, models: &[ModelTokens<'_>], owner: &ModelTokens<'_>) -> Result<Self, Error> {
        let Some(base) = models.first() else { return Ok(Self { tokens: Vec::new(), added: Vec::new() }) };
        match &vocabulary.align {
            Align::Gptailor => gptailor(base, models),
            Align::Base => Builder::new(owner, true).finish(vocabulary, owner),
            Align::Model(_) => Builder::new(owner, false).finish(vocabulary, owner),
            Align::Union => {
                let mut builder = Builder::new(owner, true);
                builder.unite(models);
                builder.finish(vocabulary, owner)
            }
        }
    }
}

/// Adds tokens to those of the owner.
struct Builder {
    /// All tokens so far.
    ids: IndexMap<String, usize>,
    /// Those that the owner's tokenizer must be told.
    added: Vec<AddedToken>,
    /// The next free id.
    next: usize,
}

impl Builder {
    /// A model's tokens; `stripped`: only those with a row.
    fn new(model: &ModelTokens<'_>, stripped: bool) -> Self {
        let kept = |(_, id): &(&str, usize)| !stripped || *id < model.rows;
        let ids: IndexMap<_, _> = model.tokens.iter().filter(kept).map(|(token, id)| (token.to_owned(), id)).collect();
        let next = ids.values().map(|id| id + 1).max().unwrap_or(0);
        Self { ids, added: Vec::new(), next }
    }

    /// Adds a token under its id, or under the next free one if it is new.
    fn push(&mut self, token: &AddedToken) {
        let id = *self.ids.entry(token.content.clone()).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        });
        self.added.push(AddedToken { id, ..token.clone() });
    }

    /// Adds the tokens of all models as mergekit does: first the ordinary tokens of the other models, then the added
    /// tokens of any. Of several settings of an added token the first holds.
    fn unite(&mut self, models: &[ModelTokens<'_>]) {
        let with_row = |model: &ModelTokens<'_>, id: usize| id < model.rows;
        let mut added: IndexMap<&str, &AddedToken> = IndexMap::new();
        for model in models {
            for token in model.tokens.added().filter(|token| with_row(model, token.id)) {
                added.entry(&token.content).or_insert(token);
            }
        }
        for model in models {
            for (token, _) in model.tokens.iter().filter(|(_, id)| with_row(model, *id)) {
                if !added.contains_key(token) && !self.ids.contains_key(token) {
                    self.push(&AddedToken::new(0, token, false));
                }
            }
        }
        // The owner has its own already.
        let of_base = |token: &&&AddedToken| {
            models.first().and_then(|base| base.tokens.added_token(&token.content)) != Some(**token)
        };
        added.values().filter(of_base).for_each(|token| self.push(token));
    }

    /// Adds the tokens that the recipe names and sorts all by id. Ids with a hole between them are an error: rows
    /// cannot be found by them.
    fn finish(mut self, vocabulary: &Vocabulary, owner: &ModelTokens<'_>) -> Result<SharedTokens, Error> {
        for token in vocabulary.tokens.keys() {
            if !self.ids.contains_key(token) {
                self.push(&AddedToken::new(0, token, false));
            }
        }
        let mut tokens = vec![None; self.ids.len()];
        let mut gap = false;
        for (token, id) in self.ids {
            match tokens.get_mut(id) {
                Some(place) => *place = Some(token),
                None => gap = true,
            }
        }
        match tokens.iter().position(Option::is_none) {
            Some(id) => Err(Error::TokenGap { file: owner.tokens.file().to_owned(), id }),
            None if gap => Err(Error::TokenGap { file: owner.tokens.file().to_owned(), id: tokens.len() }),
            None => Ok(SharedTokens { tokens, added: self.added }),
        }
    }
}

/// The tokens of the base and then the added ones, as in GPTailor's reference. But here equal tokens share a row.
fn gptailor(base: &ModelTokens<'_>, models: &[ModelTokens<'_>]) -> Result<SharedTokens, Error> {
    if let Some(token) = base.tokens.added().find(|token| token.id >= base.rows) {
        let (token, id) = (token.content.clone(), token.id);
        return Err(Error::TokenWithoutRow { model: base.name.to_owned(), token, id, rows: base.rows });
    }
    let mut extra = BTreeSet::new();
    for model in models {
        let added: Vec<&AddedToken> = model.tokens.added().filter(|token| token.id >= base.rows).collect();
        let held = added.iter().filter(|token| token.id < model.rows).count();
        if model.rows < base.rows || held != model.rows - base.rows {
            let (model, rows, base) = (model.name.to_owned(), model.rows, base.rows);
            return Err(Error::RowsWithoutTokens { model, rows, base, tokens: held });
        }
        extra.extend(added.into_iter().map(|token| token.content.as_str()).filter(|token| base.row(token).is_none()));
    }
    let mut tokens: Vec<Option<String>> = vec![None; base.rows];
    for (token, id) in base.tokens.iter() {
        if let Some(place) = tokens.get_mut(id) {
            *place = Some(token.to_owned());
        }
    }
    // The reference adds each as the token for padding.
    let added =
        extra.iter().enumerate().map(|(index, token)| AddedToken::new(base.rows + index, token, true)).collect();
    tokens.extend(extra.into_iter().map(|token| Some(token.to_owned())));
    Ok(SharedTokens { tokens, added })
}
