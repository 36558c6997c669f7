//! Where each row of an aligned embedding or head comes from.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::{Error, OuterTensor, RowOf, TokenRow, Vocabulary};

/// Where a row of an aligned tensor comes from. Models are named by their place in [`OuterRows::models`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A row of the model itself.
    Own(usize),
    /// A row of another model.
    Of {
        /// The model.
        model: usize,
        /// Its row.
        row: usize,
    },
    /// The mean of rows of models.
    Mean(Arc<[(usize, usize)]>),
    /// Zeros.
    Zero,
    /// The mean of all rows that the model has by itself.
    OwnMean,
    /// The mean of all other rows of the aligned tensor.
    Padding,
}

/// The aligned rows of an embedding or a head, for each model that it is made of: a plan of a gather, from `[own rows,
/// hidden]` of each model to `[shared rows, hidden]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterRows {
    /// The models, as [`crate::OuterExpr::models`] lists them.
    pub models: Vec<String>,
    /// For each of them, where each row comes from.
    pub rows: Vec<Vec<Row>>,
}

impl OuterRows {
    /// Whether each model has its own rows in their order, so many of them, and nothing is to be done.
    #[must_use]
    pub fn is_plain(&self, rows: usize) -> bool {
        let own =
            |list: &Vec<Row>| list.len() == rows && list.iter().enumerate().all(|(index, row)| *row == Row::Own(index));
        self.rows.iter().all(own)
    }
}

/// The embedding or the head of a recipe, and what is known of the models that it is made of.
pub(super) struct RowRequest<'a> {
    /// Which of the two, for messages.
    pub tensor: OuterTensor,
    /// The models of its expression.
    pub models: Vec<&'a str>,
    /// The model whose row is taken where several models have the token.
    pub base: Option<&'a str>,
    /// What the recipe says of single tokens.
    pub vocabulary: &'a Vocabulary,
    /// Where each model has the tokens.
    pub known: &'a IndexMap<String, ModelRows>,
}

/// Where a model has the tokens of the shared vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ModelRows {
    /// By shared id, the model's row; `None` for a token that it lacks.
    pub rows: Vec<Option<usize>>,
    /// The rows of further tokens, which [`Vocabulary::tokens`] names.
    pub named: IndexMap<String, Option<usize>>,
    /// How many rows its embedding has.
    pub size: usize,
}

impl RowRequest<'_> {
    /// Where each of `padded` rows comes from, for each model. The rows beyond the tokens are padding.
    pub fn rows(&self, tokens: &[Option<String>], padded: usize) -> Result<OuterRows, Error> {
        let mut rows = vec![Vec::with_capacity(padded); self.models.len()];
        let of = |model: &&str| self.known.get(*model).map_or_else(Default::default, |known| known.rows.as_slice());
        let known: Vec<&[Option<usize>]> = self.models.iter().map(of).collect();
        for (id, token) in tokens.iter().enumerate() {
            let own: Vec<Option<usize>> = known.iter().map(|rows| rows.get(id).copied().flatten()).collect();
            let any = !self.vocabulary.tokens.is_empty();
            let said = token
                .as_ref()
                .filter(|_| any)
                .and_then(|token| Some((token.as_str(), self.vocabulary.tokens.get(token)?)));
            let force = said.is_some_and(|(_, row)| row.force);
            let missing = force || own.iter().any(Option::is_none);
            let default = if missing { Some(self.default(id, &own, said)?) } else { None };
            for (model, own) in own.into_iter().enumerate() {
                let own = own.filter(|_| !force).map(Row::Own);
                // What a model gives others is its own row.
                let given = match &default {
                    Some(Row::Of { model: giver, row }) if *giver == model => Some(Row::Own(*row)),
                    other => other.clone(),
                };
                rows[model].push(own.or(given).unwrap_or(Row::Zero));
            }
        }
        rows.iter_mut().for_each(|rows| rows.resize(padded, Row::Padding));
        Ok(OuterRows { models: self.models.iter().map(|model| (*model).to_owned()).collect(), rows })
    }

    /// The row of a model that lacks the token.
    fn default(&self, id: usize, own: &[Option<usize>], said: Option<(&str, &TokenRow)>) -> Result<Row, Error> {
        if self.vocabulary.align == crate::Align::Gptailor {
            return Ok(Row::OwnMean);
        }
        if let Some((token, row)) = said {
            return self.named(id, token, row);
        }
        // A model that stands there twice counts once.
        let first = |(index, row): (usize, &Option<usize>)| {
            let again = self.models[..index].contains(&self.models[index]);
            row.filter(|_| !again).map(|row| (index, row))
        };
        let having: Vec<(usize, usize)> = own.iter().enumerate().filter_map(first).collect();
        let of_base = having.iter().find(|(model, _)| Some(self.models[*model]) == self.base);
        Ok(match (having.as_slice(), of_base) {
            ([], _) => Row::Zero,
            ([(model, row)], _) | (_, Some((model, row))) => Row::Of { model: *model, row: *row },
            (several, None) => Row::Mean(several.into()),
        })
    }

    /// The row that the recipe names.
    fn named(&self, id: usize, token: &str, said: &TokenRow) -> Result<Row, Error> {
        let (token, tensor) = (token.to_owned(), self.tensor);
        let Some(from) = &said.from else { return Err(Error::TokenRowUnsaid { token, tensor }) };
        let Some(name) = from.model() else { return Ok(Row::Zero) };
        let known = self.models.iter().position(|model| *model == name).zip(self.known.get(name));
        let Some((model, known)) = known else {
            return Err(Error::TokenModel { token, model: name.to_owned(), tensor });
        };
        let (row, wanted) = match from {
            RowOf::Token { token, .. } => (known.named.get(token).copied().flatten(), token.clone()),
            RowOf::Id { id, .. } => (Some(*id).filter(|id| *id < known.size), id.to_string()),
            RowOf::Model(_) | RowOf::Zero => (known.rows.get(id).copied().flatten(), token.clone()),
        };
        let row = row.ok_or_else(|| Error::NoSuchToken { token, model: name.to_owned(), wanted })?;
        Ok(Row::Of { model, row })
    }
}
