//! A recipe that fits its family.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{
    Bridge, BridgeRef, DrawsBy, Expr, LayerExpr, Merge, MergeSettings, Methods, OuterExpr, OutputLayer, Parameters,
    Recipe,
};
use crate::vocabulary::check_chat_template;
use crate::{Alignment, Dtype, Error, Family, OuterRows, OuterTensor};

/// A place in a recipe, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An output layer, from 0.
    Layer(usize),
    /// An outer tensor of the model.
    Outer(OuterTensor),
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
            Self::Outer(outer) => outer.fmt(f),
            Self::Base => f.write_str("base"),
            Self::Tokenizer => f.write_str("tokenizer"),
            Self::Vocabulary => f.write_str("vocabulary"),
        }
    }
}

/// A recipe in canonical form that can be made: its models and layers are in its family, its merge methods are there,
/// and each has the base, the sources and the parameters that it takes, for every tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidRecipe {
    recipe: Recipe,
    /// As [`Self::layer_key`], one for each output layer.
    layer_keys: Vec<String>,
    /// As [`Self::bridge`], one for each output layer.
    bridges: Vec<Option<Arc<Bridge>>>,
    alignment: Option<Arc<Alignment>>,
    /// Of [`OuterTensor::WITH_TOKENS`]; with an alignment only.
    outer_rows: Option<[Arc<OuterRows>; 2]>,
}

impl ValidRecipe {
    /// The recipe, in canonical form.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// As [`Recipe::key`].
    #[must_use]
    pub fn key(&self) -> String {
        self.recipe.canonical_key()
    }

    /// The vocabulary that its models share; `None` where they have one already.
    #[must_use]
    pub fn alignment(&self) -> Option<&Alignment> {
        self.alignment.as_deref()
    }

    /// Where the rows of an outer tensor come from; `None` where every model has them in their order.
    #[must_use]
    pub fn outer_rows(&self, outer: OuterTensor) -> Option<&Arc<OuterRows>> {
        let place = OuterTensor::WITH_TOKENS.iter().position(|aligned| *aligned == outer)?;
        self.outer_rows.as_ref().map(|rows| &rows[place])
    }

    /// What is added to an output layer's tensors; `None` if nothing is, or there is no such output layer.
    #[must_use]
    pub fn bridge(&self, layer: usize) -> Option<&Bridge> {
        self.bridges.get(layer)?.as_deref()
    }

    /// A key of an outer tensor: equal keys within one family, equal tensors.
    #[must_use]
    pub fn outer_key(&self, outer: OuterTensor) -> String {
        let mut key = self.outer.get(outer).key();
        if let Some(alignment) = self.alignment().filter(|_| OuterTensor::WITH_TOKENS.contains(&outer)) {
            key += &format!("@{}", alignment.key());
        }
        key + &compute_key(&self.recipe)
    }

    /// A key of an output layer's tensors: equal keys within one family, equal tensors. `None` if there is no such
    /// output layer.
    ///
    /// The output scale is not in it. The output index is only if the method draws by it or a parameter's filter could
    /// see it.
    #[must_use]
    pub fn layer_key(&self, layer: usize) -> Option<&str> {
        self.layer_keys.get(layer).map(String::as_str)
    }
}

/// What the precision of the arithmetic adds to a key; nothing in f32.
fn compute_key(recipe: &Recipe) -> String {
    recipe.compute.map_or_else(String::new, |compute| format!(":{compute:?}"))
}

/// The key of an output layer's tensors in a checked recipe.
fn layer_key(recipe: &Recipe, methods: &dyn Methods, layer: usize) -> Result<String, Error> {
    let OutputLayer { from, bridge, .. } = &recipe.layers[layer];
    let mut key = from.key();
    if let Expr::Merge(merge) = from {
        let place = Place::Layer(layer);
        let spec = methods.spec(&merge.method).map_err(|source| Error::Method { place, source: Box::new(source) })?;
        if spec.draws == Some(DrawsBy::Output) || merge.parameters.depend_on_layer() {
            key += &format!("@{layer}");
        }
        key += &compute_key(recipe);
    }
    if let Some(bridge) = bridge {
        key += &format!("+{}", bridge.hash);
    }
    Ok(key)
}

impl Deref for ValidRecipe {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        &self.recipe
    }
}

impl Recipe {
    /// Checks the recipe against the opened models and the merge methods, and brings it into canonical form. One
    /// without a vocabulary has that of the family. No weight is read; a bridge is, once for all recipes of the family.
    ///
    /// What is valid can be made by these methods: no method, base, parameter or layer of it is found wrong later.
    ///
    /// # Errors
    /// What is wrong with which layer or outer tensor: a model or layer that is not there, an output scale out of its
    /// range, a merge that its method refuses ([`Error::Method`]), a bridge that is not there or does not fit
    /// ([`Error::Bridge`]), models whose vocabularies do not fit.
    pub fn validate(self, family: &Family, methods: &dyn Methods) -> Result<ValidRecipe, Error> {
        if self.layers.is_empty() {
            return Err(Error::NoLayers);
        }
        let mut recipe = self.canonicalise(methods);
        if recipe.vocabulary.is_none() {
            recipe.vocabulary = family.vocabulary().cloned();
        }
        has_model(family, Place::Base, &recipe.base)?;
        if let Some(owner) = &recipe.tokenizer {
            has_model(family, Place::Tokenizer, owner)?;
        }
        check_scales(&recipe)?;
        let checker = Checker { family, methods, precision: recipe.compute.unwrap_or(Dtype::F32) };
        recipe.layers.iter().enumerate().try_for_each(|(output, layer)| checker.layer(output, &layer.from))?;
        OuterTensor::ALL.into_iter().try_for_each(|outer| checker.outer_tensor(outer, recipe.outer.get(outer)))?;
        check_vocabulary(family, &recipe)?;
        recipe.chat_template.as_deref().map_or(Ok(()), check_chat_template)?;
        let alignment = family.alignment(&recipe)?;
        let rows = |alignment: &Arc<Alignment>| {
            let [embedding, head] = OuterTensor::WITH_TOKENS
                .map(|outer| alignment.outer_rows(outer, recipe.outer.get(outer)).map(Arc::new));
            Ok::<_, Error>([embedding?, head?])
        };
        let outer_rows = alignment.as_ref().map(rows).transpose()?;
        let bridges = recipe.layers.iter().enumerate().map(|(layer, output)| open_bridge(family, layer, output));
        let bridges = bridges.collect::<Result<_, _>>()?;
        let layer_keys = (0..recipe.layers.len()).map(|layer| layer_key(&recipe, methods, layer));
        let layer_keys = layer_keys.collect::<Result<_, _>>()?;
        Ok(ValidRecipe { recipe, layer_keys, bridges, alignment, outer_rows })
    }
}

/// The opened bridge of an output layer, if it has one.
fn open_bridge(family: &Family, layer: usize, output: &OutputLayer) -> Result<Option<Arc<Bridge>>, Error> {
    let open = |bridge: &BridgeRef| {
        let failed = |source| Error::Bridge { layer, file: bridge.file.clone(), source: Box::new(source) };
        family.bridge(bridge).map_err(failed)
    };
    output.bridge.as_ref().map(open).transpose()
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

/// Checks expressions against the opened models and the methods.
struct Checker<'a> {
    family: &'a Family,
    methods: &'a dyn Methods,
    /// What merges compute in, and parameters must be finite in.
    precision: Dtype,
}

impl Checker<'_> {
    /// Whether an output layer can be made, every tensor of it.
    fn layer(&self, output: usize, from: &LayerExpr) -> Result<(), Error> {
        let place = Place::Layer(output);
        let merge = match from {
            Expr::Take(source) => return has_layer(self.family, place, &source.model, source.layer),
            Expr::Merge(merge) => merge,
        };
        self.merge(place, merge)?;
        merge.sources.iter().try_for_each(|source| has_layer(self.family, place, &source.of.model, source.of.layer))?;
        if let Some((base, layer)) = merge.base.as_ref().and_then(|base| Some((base, base.layer?))) {
            has_layer(self.family, place, &base.model, layer)?;
        }
        let base = self.family.base();
        base.layer_tensors().iter().try_for_each(|tensor| {
            let name = |layer| base.layer_tensor_name(layer, &tensor.suffix);
            self.tensor(place, merge, name(output), merge.sources.iter().map(|source| name(source.of.layer)))
        })
    }

    /// Whether an outer tensor can be made.
    fn outer_tensor(&self, outer: OuterTensor, from: &OuterExpr) -> Result<(), Error> {
        let place = Place::Outer(outer);
        let merge = match from {
            Expr::Take(source) => return has_model(self.family, place, &source.model),
            Expr::Merge(merge) => merge,
        };
        self.merge(place, merge)?;
        merge.sources.iter().try_for_each(|source| has_model(self.family, place, &source.of.model))?;
        let Some(name) = self.family.base().outer_name(outer) else { return Ok(()) };
        self.tensor(place, merge, name.to_owned(), merge.sources.iter().map(|_| name.to_owned()))
    }

    /// What does not depend on the tensor.
    fn merge<S>(&self, place: Place, merge: &Merge<S>) -> Result<(), Error> {
        if merge.sources.is_empty() {
            return Err(Error::NoSources { place });
        }
        let of_sources = merge.sources.iter().map(|source| &source.parameters);
        if let Some((key, found)) = of_sources.chain([&merge.parameters]).find_map(Parameters::not_finite) {
            return Err(Error::NotFinite { place, key: key.to_owned(), found });
        }
        self.methods.spec(&merge.method).map_err(|source| Error::Method { place, source: Box::new(source) })?;
        merge.base.as_ref().map_or(Ok(()), |base| has_model(self.family, place, &base.model))
    }

    /// What the method says of one tensor, whose sources' tensors are called `names`.
    fn tensor<S>(
        &self,
        place: Place,
        merge: &Merge<S>,
        tensor: String,
        names: impl Iterator<Item = String>,
    ) -> Result<(), Error> {
        let check = || {
            let spec = self.methods.spec(&merge.method)?;
            let settings = MergeSettings::of(*spec, merge, tensor, names);
            spec.check(&settings, self.precision)?;
            self.methods.check(&settings)
        };
        check().map_err(|source| Error::Method { place, source: Box::new(source) })
    }
}

/// Whether the vocabulary contradicts itself or the recipe, or, without one, whether models differ in their tokens.
fn check_vocabulary(family: &Family, recipe: &Recipe) -> Result<(), Error> {
    let Some(vocabulary) = &recipe.vocabulary else {
        let of_outer = |outer: OuterTensor| recipe.outer.get(outer).models().collect::<Vec<_>>();
        let mut used = OuterTensor::WITH_TOKENS.into_iter().flat_map(of_outer);
        return used.try_for_each(|model| family.same_rows(model));
    };
    if recipe.tokenizer.is_some() {
        return Err(Error::TokenizerTwice);
    }
    if let Some(key) = vocabulary.surplus() {
        return Err(Error::VocabularyKey { key });
    }
    vocabulary.models().try_for_each(|model| has_model(family, Place::Vocabulary, model))
}

/// Whether a model is in the family.
fn has_model(family: &Family, place: Place, model: &str) -> Result<(), Error> {
    if family.names().any(|name| name == model) {
        return Ok(());
    }
    let known = family.names().collect::<Vec<_>>().join(", ");
    Err(Error::UnknownModel { place, model: model.to_owned(), known })
}

/// Whether a layer is in a model of the family.
fn has_layer(family: &Family, place: Place, model: &str, layer: usize) -> Result<(), Error> {
    has_model(family, place, model)?;
    let layers = family.get(model)?.num_layers();
    if layer < layers {
        return Ok(());
    }
    Err(Error::NoSuchLayer { place, model: model.to_owned(), layer, last: layers - 1 })
}
