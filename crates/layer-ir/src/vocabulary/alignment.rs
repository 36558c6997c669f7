//! A family's shared vocabulary: its tokens, and where each model has them.
//!
//! Merging two embeddings row by row makes sense only where equal rows are of equal tokens. An alignment gives every model of a merge the same
//! rows in the same order before the merge sees them.

use indexmap::{IndexMap, IndexSet};

use super::output::{Model, Output};
use super::rows::{EndRows, Known, Request};
use super::tokens::{AddedToken, Tokens};
use crate::recipe::hash;
use crate::{Align, End, EndExpr, Error, Expr, Family, Recipe, RowOf, TokenRow, Vocabulary};

/// The shared vocabulary of a recipe's model.
///
/// As mergekit 0.1.5 for `base`, `union` and a model's own: a token is known by its text. A row that a model lacks is what `tokens` says;
/// else that of the one model of the end that has the token, or zeros if none has; else that of the merge's base (without one, of
/// [`Vocabulary::prefer`]); else the mean of the rows of those that have it. A model without a tokenizer has that of the base. Where mergekit
/// stops, since a tokenizer has a token whose row the model has not, the model lacks it here. Added tokens get their ids in the order of the
/// models and of their ids; mergekit leaves the order to chance.
///
/// As GPTailor's reference for `gptailor`: the rows of the base, then one for each added token of the models that the ends are made of; a model
/// takes the mean of its rows for one that it lacks. The reference appends in an order of chance and merges rows of one index, whichever tokens
/// they are for; here they are sorted, and equal tokens share a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    key: String,
    vocabulary: Vocabulary,
    tokens: Vec<Option<String>>,
    added: Vec<AddedToken>,
    models: IndexMap<String, Known>,
    padded: usize,
}

impl Alignment {
    /// The vocabulary that a recipe asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// A tokenizer cannot be read or has no place in the vocabulary; the file and the token are named.
    pub fn of(family: &Family, recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(vocabulary) = &recipe.vocabulary else { return Ok(None) };
        let owner = recipe.tokenizer_owner();
        let models = taking_part(recipe)
            .into_iter()
            .map(|name| model(family, &recipe.base, name))
            .collect::<Result<Vec<_>, _>>()?;
        let output = Output::of(vocabulary, &models, &model(family, &recipe.base, owner)?)?;
        let by_index = vocabulary.align == Align::Gptailor;
        let base_rows = if by_index { models.first().map_or(0, |base| base.rows) } else { 0 };
        let known = |model: &Model<'_>| {
            let row = |(id, token): (usize, &Option<String>)| match token {
                _ if id < base_rows => Some(id),
                Some(token) => model.row(token),
                None => None,
            };
            let rows = output.tokens.iter().enumerate().map(row).collect();
            (model.name.to_owned(), Known { rows, named: named(vocabulary, model), size: model.rows })
        };
        let models = models.iter().map(known).collect();
        let multiple = vocabulary.pad_to_multiple_of.unwrap_or(1);
        Ok(Some(Self {
            key: Self::key_of(recipe).unwrap_or_default(),
            vocabulary: vocabulary.clone(),
            models,
            padded: output.tokens.len().next_multiple_of(multiple.max(1)),
            tokens: output.tokens,
            added: output.added,
        }))
    }

    /// A key of what [`Alignment::of`] is made from, within a family.
    pub(crate) fn key_of(recipe: &Recipe) -> Option<String> {
        let vocabulary = recipe.vocabulary.as_ref()?;
        Some(hash(&(vocabulary, &recipe.base, recipe.tokenizer_owner(), taking_part(recipe))))
    }

    /// Equal keys within one family, equal vocabularies.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many rows the aligned embedding and head have, padding included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.padded
    }

    /// The tokens by id, padding left out; `None` for a row that no token is known of.
    #[must_use]
    pub fn tokens(&self) -> &[Option<String>] {
        &self.tokens
    }

    /// What the owner's tokenizer gets: new tokens, and old ones that become added tokens.
    #[must_use]
    pub fn added(&self) -> &[AddedToken] {
        &self.added
    }

    /// Whether the last of the added tokens is the one for padding.
    pub(super) fn pads(&self) -> bool {
        self.vocabulary.align == Align::Gptailor
    }

    /// Where the rows of an end come from; `end` is for messages.
    ///
    /// # Errors
    /// A row that the recipe names is not there.
    pub fn end_rows(&self, end: End, expr: &EndExpr) -> Result<EndRows, Error> {
        let base = match expr {
            Expr::Merge(merge) => merge.base.as_ref().map(|base| base.model.as_str()),
            Expr::Take(_) => None,
        };
        let request = Request {
            end,
            models: expr.models().collect(),
            base: base.or(self.vocabulary.prefer.as_deref()),
            vocabulary: &self.vocabulary,
            known: &self.models,
        };
        request.rows(&self.tokens, self.padded)
    }
}

/// The rows of the tokens that the vocabulary takes rows of by name.
fn named(vocabulary: &Vocabulary, model: &Model<'_>) -> IndexMap<String, Option<usize>> {
    let token = |row: &TokenRow| match &row.from {
        Some(RowOf::Token { model: of, token }) if of == model.name => Some((token.clone(), model.row(token))),
        _ => None,
    };
    vocabulary.tokens.values().filter_map(token).collect()
}

fn model<'a>(family: &'a Family, base: &str, name: &'a str) -> Result<Model<'a>, Error> {
    let checkpoint = family.get(name)?;
    let rows = checkpoint.rows(End::Embedding).unwrap_or(0);
    Ok(Model { name, tokens: tokens(family, base, name)?, rows })
}

/// A model's tokens, or the base's where it has no tokenizer.
fn tokens<'a>(family: &'a Family, base: &str, name: &str) -> Result<&'a Tokens, Error> {
    if let Some(tokens) = family.get(name)?.tokens()? {
        return Ok(tokens);
    }
    let base = family.get(base)?;
    base.tokens()?.ok_or_else(|| Error::NoTokenizer { folder: base.dir().to_owned() })
}

/// The models whose tokens count, the base first.
fn taking_part(recipe: &Recipe) -> Vec<&str> {
    let mut models: IndexSet<&str> = IndexSet::from([recipe.base.as_str()]);
    if recipe.vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.align == Align::Gptailor) {
        models.extend(End::WITH_TOKENS.into_iter().flat_map(|end| recipe.ends.get(end).models()));
    } else {
        // All that are listed, so that the recipes of a search share one vocabulary.
        models.extend(recipe.models.keys().map(String::as_str).chain(recipe.used_models()));
    }
    models.into_iter().collect()
}
