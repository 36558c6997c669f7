//! A family's shared vocabulary: its tokens, and where each model has them.
//!
//! Merging two embeddings row by row makes sense only where equal rows are of equal tokens. An alignment gives every
//! model of a merge the same rows in the same order before the merge sees them.

use indexmap::{IndexMap, IndexSet};

use super::rows::{ModelRows, OuterRows, RowRequest};
use super::shared_tokens::{ModelTokens, SharedTokens};
use super::tokens::{AddedToken, Tokens};
use crate::recipe::hash;
use crate::{Align, Error, Expr, Family, OuterExpr, OuterTensor, Recipe, RowOf, TokenRow, Vocabulary};

/// The shared vocabulary of a recipe's model.
///
/// For `base`, `union` and a model's own tokens, as in mergekit 0.1.5. A token is known by its text. A model that lacks
/// a token takes the first of these rows that there is:
/// 1. what [`Vocabulary::tokens`] says;
/// 2. the row of the only model of the merge that has the token, or zeros if none has;
/// 3. the row of the merge's base, or without one that of [`Vocabulary::prefer`];
/// 4. the mean of the rows of the models that have the token.
///
/// A model without a tokenizer has that of the base. mergekit stops where a tokenizer has a token without a row in the
/// model; here the model lacks this token. Added tokens get their ids in the order of the models and of their ids;
/// mergekit leaves this order to chance.
///
/// For `gptailor`, as in GPTailor's reference: the rows of the base, then one for each added token of the models that
/// embedding and head are made of. A model takes the mean of its own rows for a token that it lacks. The reference
/// appends in an order of chance and merges rows of one index, whichever tokens they are for; here they are sorted, and
/// equal tokens share a row.
/// ```no_run
/// use layer_ir::{Align, Alignment, Recipe, Vocabulary};
/// let mut recipe = Recipe::read("tailored.yaml")?;
/// recipe.vocabulary = Some(Vocabulary::new(Align::Union));
/// if let Some(alignment) = Alignment::of(&recipe.open_family()?, &recipe)? {
///     println!("{} rows, of which {} are new tokens", alignment.rows(), alignment.added().len());
/// }
/// # Ok::<(), layer_ir::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    key: String,
    /// What it was made from.
    vocabulary: Vocabulary,
    tokens: Vec<Option<String>>,
    added: Vec<AddedToken>,
    /// Where each model that takes part has the tokens.
    models: IndexMap<String, ModelRows>,
    /// How many rows there are with padding.
    padded: usize,
}

impl Alignment {
    /// The vocabulary that a recipe asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] and [`Error::Tokenizer`] name a tokenizer that cannot be read; [`Error::TokenGap`],
    /// [`Error::TokenWithoutRow`] and [`Error::RowsWithoutTokens`] one whose tokens cannot be aligned.
    pub fn of(family: &Family, recipe: &Recipe) -> Result<Option<Self>, Error> {
        let Some(vocabulary) = &recipe.vocabulary else { return Ok(None) };
        let owner = recipe.tokenizer_owner();
        let models = taking_part(recipe)
            .into_iter()
            .map(|name| model(family, &recipe.base, name))
            .collect::<Result<Vec<_>, _>>()?;
        let output = SharedTokens::of(vocabulary, &models, &model(family, &recipe.base, owner)?)?;
        let by_index = vocabulary.align == Align::Gptailor;
        let base_rows = if by_index { models.first().map_or(0, |base| base.rows) } else { 0 };
        let known = |model: &ModelTokens<'_>| {
            let row = |(id, token): (usize, &Option<String>)| match token {
                _ if id < base_rows => Some(id),
                Some(token) => model.row(token),
                None => None,
            };
            let rows = output.tokens.iter().enumerate().map(row).collect();
            (model.name.to_owned(), ModelRows { rows, named: named(vocabulary, model), size: model.rows })
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

    /// Whether the last of the added tokens is the one for padding, as in GPTailor's reference.
    pub(super) fn last_is_padding(&self) -> bool {
        self.vocabulary.align == Align::Gptailor
    }

    /// Where the rows of an outer tensor come from; `outer` is for messages.
    ///
    /// # Errors
    /// [`Error::TokenRowUnsaid`], [`Error::TokenModel`] and [`Error::NoSuchToken`] name a row of [`Vocabulary::tokens`]
    /// that is not there.
    pub fn outer_rows(&self, outer: OuterTensor, expr: &OuterExpr) -> Result<OuterRows, Error> {
        let base = match expr {
            Expr::Merge(merge) => merge.base.as_ref().map(|base| base.model.as_str()),
            Expr::Take(_) => None,
        };
        let request = RowRequest {
            tensor: outer,
            models: expr.models().collect(),
            base: base.or(self.vocabulary.prefer.as_deref()),
            vocabulary: &self.vocabulary,
            known: &self.models,
        };
        request.rows(&self.tokens, self.padded)
    }
}

/// The rows of the tokens that the vocabulary takes rows of by name.
fn named(vocabulary: &Vocabulary, model: &ModelTokens<'_>) -> IndexMap<String, Option<usize>> {
    let token = |row: &TokenRow| match &row.from {
        Some(RowOf::Token { model: of, token }) if of == model.name => Some((token.clone(), model.row(token))),
        _ => None,
    };
    vocabulary.tokens.values().filter_map(token).collect()
}

/// A model with its tokens and how many rows it has for them.
fn model<'a>(family: &'a Family, base: &str, name: &'a str) -> Result<ModelTokens<'a>, Error> {
    let checkpoint = family.get(name)?;
    let rows = checkpoint.rows(OuterTensor::Embedding).unwrap_or(0);
    Ok(ModelTokens { name, tokens: tokens(family, base, name)?, rows })
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
        models.extend(OuterTensor::WITH_TOKENS.into_iter().flat_map(|outer| recipe.outer.get(outer).models()));
    } else {
        // All that are listed, so that the recipes of a search share one vocabulary.
        models.extend(recipe.models.keys().map(String::as_str).chain(recipe.used_models()));
    }
    models.into_iter().collect()
}
