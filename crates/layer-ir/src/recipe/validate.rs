//! A recipe that fits its family.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{EndExpr, Expr, Merge, Parameters, Recipe};
use crate::vocabulary::check_chat_template;
use crate::{Alignment, End, EndRows, Error, Family};

/// A place in a recipe, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An output layer, from 0.
    Layer(usize),
    /// An end of the model.
    End(End),
    /// The recipe's base.
    Base,
    /// The owner of the tokenizer.
    Tokenizer,
    /// The vocabulary.
    Vocabulary,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(layer) => write!(f, "output layer {layer}"),
            Self::End(end) => end.fmt(f),
            Self::Base => f.write_str("base"),
            Self::Tokenizer => f.write_str("tokenizer"),
            Self::Vocabulary => f.write_str("vocabulary"),
        }
    }
}

/// A recipe in canonical form whose every model and layer is in its family.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidRecipe {
    recipe: Recipe,
    alignment: Option<Arc<Alignment>>,
    /// Of [`End::WITH_TOKENS`].
    end_rows: Option<[Arc<EndRows>; 2]>,
}

impl ValidRecipe {
    /// The recipe, in canonical form.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The vocabulary that its models share; `None` where they have one already.
    #[must_use]
    pub fn alignment(&self) -> Option<&Alignment> {
        self.alignment.as_deref()
    }

    /// Where the rows of an end come from; `None` where every model has them in their order.
    #[must_use]
    pub fn end_rows(&self, end: End) -> Option<&Arc<EndRows>> {
        let place = End::WITH_TOKENS.iter().position(|aligned| *aligned == end)?;
        self.end_rows.as_ref().map(|rows| &rows[place])
    }

    /// A key of an end's tensor: equal keys within one family, equal tensors.
    #[must_use]
    pub fn end_key(&self, end: End) -> String {
        let mut key = self.ends.get(end).key();
        if let Some(alignment) = self.alignment().filter(|_| End::WITH_TOKENS.contains(&end)) {
            key += &format!("@{}", alignment.key());
        }
        key + &self.compute_key()
    }

    /// A key of an output layer's tensors: equal keys within one family, equal tensors.
    ///
    /// The output scale is not in it. The output index is only if a parameter's filter could see it.
    ///
    /// # Panics
    /// If there is no such output layer.
    #[must_use]
    pub fn layer_key(&self, layer: usize) -> String {
        let from = &self.layers[layer].from;
        let mut key = from.key();
        if let Expr::Merge(merge) = from {
            if merge.parameters.depend_on_layer() {
                key += &format!("@{layer}");
            }
            key += &self.compute_key();
        }
        key
    }

    fn compute_key(&self) -> String {
        self.compute.map_or_else(String::new, |compute| format!(":{compute:?}"))
    }
}

impl Deref for ValidRecipe {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        &self.recipe
    }
}

impl Recipe {
    /// Checks the recipe against the opened models and brings it into canonical form. One without a vocabulary has that of the family.
    ///
    /// Whether the merge methods exist and like their parameters is for the merge registry to say.
    ///
    /// # Errors
    /// What is wrong with which layer.
    pub fn validate(self, family: &Family) -> Result<ValidRecipe, Error> {
        if self.layers.is_empty() {
            return Err(Error::NoLayers);
        }
        let mut recipe = self.canonicalise();
        if recipe.vocabulary.is_none() {
            recipe.vocabulary = family.vocabulary().cloned();
        }
        known(family, Place::Base, &recipe.base)?;
        if let Some(owner) = &recipe.tokenizer {
            known(family, Place::Tokenizer, owner)?;
        }
        check_scales(&recipe)?;
        for (output, layer) in recipe.layers.iter().enumerate() {
            let place = Place::Layer(output);
            match &layer.from {
                Expr::Take(source) => has_layer(family, place, &source.model, source.layer)?,
                Expr::Merge(merge) => {
                    check_merge(family, place, merge)?;
                    for source in &merge.sources {
                        has_layer(family, place, &source.of.model, source.of.layer)?;
                    }
                    if let Some((base, layer)) = merge.base.as_ref().and_then(|base| Some((base, base.layer?))) {
                        has_layer(family, place, &base.model, layer)?;
                    }
                }
            }
        }
        for end in End::ALL {
            check_end(family, Place::End(end), recipe.ends.get(end))?;
        }
        check_vocabulary(family, &recipe)?;
        recipe.chat_template.as_deref().map_or(Ok(()), check_chat_template)?;
        let alignment = family.alignment(&recipe)?;
        let rows = |alignment: &Arc<Alignment>| {
            let [embedding, head] =
                End::WITH_TOKENS.map(|end| alignment.end_rows(end, recipe.ends.get(end)).map(Arc::new));
            Ok::<_, Error>([embedding?, head?])
        };
        let end_rows = alignment.as_ref().map(rows).transpose()?;
        Ok(ValidRecipe { recipe, alignment, end_rows })
    }
}

/// Each scale, and what they come to: the weights of a layer are divided by the product of the scales before it.
fn check_scales(recipe: &Recipe) -> Result<(), Error> {
    let mut product = 1.0;
    for (layer, output) in recipe.layers.iter().enumerate() {
        let scale = output.scale;
        if !(1e-3..=1e3).contains(&scale) {
            return Err(Error::BadScale { layer, scale });
        }
        product *= f64::from(scale);
        if !(1e-12..=1e12).contains(&product) {
            return Err(Error::BadScaleProduct { layer, product });
        }
    }
    Ok(())
}

fn check_end(family: &Family, place: Place, end: &EndExpr) -> Result<(), Error> {
    match end {
        Expr::Take(source) => known(family, place, &source.model),
        Expr::Merge(merge) => {
            check_merge(family, place, merge)?;
            merge.sources.iter().try_for_each(|source| known(family, place, &source.of.model))
        }
    }
}

fn check_vocabulary(family: &Family, recipe: &Recipe) -> Result<(), Error> {
    let Some(vocabulary) = &recipe.vocabulary else {
        let of_end = |end: End| recipe.ends.get(end).models().collect::<Vec<_>>();
        let mut used = End::WITH_TOKENS.into_iter().flat_map(of_end);
        return used.try_for_each(|model| family.same_rows(model));
    };
    if recipe.tokenizer.is_some() {
        return Err(Error::TokenizerTwice);
    }
    if let Some(key) = vocabulary.surplus() {
        return Err(Error::VocabularyKey { key });
    }
    vocabulary.models().try_for_each(|model| known(family, Place::Vocabulary, model))
}

fn check_merge<S>(family: &Family, place: Place, merge: &Merge<S>) -> Result<(), Error> {
    if merge.sources.is_empty() {
        return Err(Error::NoSources { place });
    }
    let of_sources = merge.sources.iter().map(|source| &source.parameters);
    if let Some((key, found)) = of_sources.chain([&merge.parameters]).find_map(Parameters::not_finite) {
        return Err(Error::NotFinite { place, key: key.to_owned(), found });
    }
    merge.base.as_ref().map_or(Ok(()), |base| known(family, place, &base.model))
}

fn known(family: &Family, place: Place, model: &str) -> Result<(), Error> {
    if family.names().any(|name| name == model) {
        return Ok(());
    }
    let known = family.names().collect::<Vec<_>>().join(", ");
    Err(Error::UnknownModel { place, model: model.to_owned(), known })
}

fn has_layer(family: &Family, place: Place, model: &str, layer: usize) -> Result<(), Error> {
    known(family, place, model)?;
    let layers = family.get(model)?.num_layers();
    if layer < layers {
        return Ok(());
    }
    Err(Error::NoSuchLayer { place, model: model.to_owned(), layer, last: layers - 1 })
}
