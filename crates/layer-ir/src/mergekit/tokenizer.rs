//! Tokenizers: which tokens the result has, and whose rows they take.

use serde_yaml_ng::Value as Yaml;

use super::models::Models;
use super::node::Node;
use crate::{Align, Error, RowOf, TokenRow, Vocabulary};

/// What `tokenizer_source` or `tokenizer` says; models by what the file calls them.
pub(super) fn read(root: &Node<'_>, models: &mut Models<'_>) -> Result<Option<Vocabulary>, Error> {
    match (root.get("tokenizer_source"), root.get("tokenizer")) {
        (None, None) => Ok(None),
        (Some(source), None) => Ok(Some(Vocabulary::new(align(&source, models)?))),
        (None, Some(node)) => {
            node.only(&["source", "tokens", "pad_to_multiple_of"])?;
            let source = node.get("source").map(|source| align(&source, models)).transpose()?;
            let mut vocabulary = Vocabulary::new(source.unwrap_or(Align::Union));
            for (token, row) in node.get("tokens").map_or_else(|| Ok(Vec::new()), |tokens| tokens.entries())? {
                vocabulary.tokens.insert(token.to_owned(), token_row(&row, models)?);
            }
            if let Some(multiple) = node.get("pad_to_multiple_of") {
                // mergekit takes 0 for none.
                vocabulary.pad_to_multiple_of = Some(number(&multiple)?).filter(|multiple| *multiple != 0);
            }
            Ok(Some(vocabulary))
        }
        (Some(_), Some(node)) => Err(node.fail("stands beside `tokenizer_source`; write either")),
    }
}

/// `base`, `union`, or a model.
fn align(node: &Node<'_>, models: &mut Models<'_>) -> Result<Align, Error> {
    match node.value.as_str() {
        Some("base") => Ok(Align::Base),
        Some("union") => Ok(Align::Union),
        _ => Ok(Align::Model(models.add(node)?)),
    }
}

/// What is said of one token.
fn token_row(node: &Node<'_>, models: &mut Models<'_>) -> Result<TokenRow, Error> {
    node.only(&["source", "force"])?;
    let force = node.get("force").map(|force| force.flag()).transpose()?;
    let from = node.get("source").map(|source| row_of(&source, models)).transpose()?;
    Ok(TokenRow { from, force: force.unwrap_or(false) })
}

/// Where a row comes from: a model, or a mapping of `kind`.
fn row_of(node: &Node<'_>, models: &mut Models<'_>) -> Result<RowOf, Error> {
    let Some(kind) = node.get("kind") else { return Ok(RowOf::Model(models.add(node)?)) };
    match kind.text()? {
        "zero" => {
            node.only(&["kind"])?;
            Ok(RowOf::Zero)
        }
        "model_token" => {
            node.only(&["kind", "model", "token", "token_id"])?;
            let model = models.add(&node.needed("model")?)?;
            match (node.get("token"), node.get("token_id")) {
                (Some(token), None) => Ok(RowOf::Token { model, token: token.text()?.to_owned() }),
                (None, Some(id)) => Ok(RowOf::Id { model, id: number(&id)? }),
                _ => Err(node.fail("write either `token` or `token_id`")),
            }
        }
        _ => Err(kind.fail("neither `zero` nor `model_token`")),
    }
}

/// A whole number that is not negative.
fn number(node: &Node<'_>) -> Result<usize, Error> {
    let number = node.value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| node.fail("not a whole number"))
}

impl Node<'_> {
    /// True or false.
    fn flag(&self) -> Result<bool, Error> {
        match self.value {
            Yaml::Bool(flag) => Ok(*flag),
            _ => Err(self.fail("not true or false")),
        }
    }
}
