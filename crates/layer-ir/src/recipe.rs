//! The recipe: for each layer of the new model, where it comes from.
//!
//! A [`Recipe`] is plain data, whose text is YAML (`text.rs`). `canonical.rs` brings recipes of one model into one
//! form, `validate.rs` checks them against the opened models and the merge methods, which `method.rs` describes. From
//! then on a [`ValidRecipe`] can be made without a further look for mistakes.

mod bridge;
mod bridge_error;
mod canonical;
mod expression;
mod method;
mod method_error;
mod parameters;
mod settings;
mod text;
mod validate;
mod vocabulary;

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Dtype, Error, Family};
pub use bridge::{Bridge, BridgeRef};
pub use bridge_error::BridgeError;
pub(crate) use canonical::hash;
pub use expression::{BaseRef, Expr, LayerExpr, LayerRef, Merge, ModelRef, OuterExpr, Source};
pub use method::{BaseRule, DrawsBy, Identity, Mergekit, MethodSpec, Methods};
pub(crate) use method::{is_number, is_required};
pub use method_error::MethodError;
pub(crate) use parameters::is_finite;
pub use parameters::{Filtered, Parameters, Setting, Value};
pub use settings::{MergeSettings, SourceSettings};
pub use validate::{Place, ValidRecipe};
pub use vocabulary::{Align, RowOf, TokenRow, Vocabulary};

/// The layer of the base that a merge of several sources starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseAt {
    /// That of the sources.
    #[default]
    Source,
    /// That of the output layer's index, as the Python reference reads it; for comparison with its published results.
    Output,
}

/// A model made of layers of others. Its text is YAML:
/// ```yaml
/// tailor: 1
/// models:
///   base: ../base
///   math: ../math
/// base: base
/// layers:
/// - take: {model: base, layer: 0}
/// - merge:
///     method: gptailor_task_arithmetic
///     parameters: {coefficient: 0.5}
///     sources:
///     - {model: base, layer: 2}
///     - {model: math, layer: 2}
///   scale: 1.1
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "text::RecipeText", into = "text::RecipeText")]
pub struct Recipe {
    /// The models by name: paths or hub ids.
    pub models: IndexMap<String, String>,
    /// The name of the base: its config is the new model's.
    pub base: String,
    /// Which of its layers a merge starts from, where the merge does not say it.
    pub base_at: BaseAt,
    /// The new model's layers.
    pub layers: Vec<OutputLayer>,
    /// Its embedding, final norm and head.
    pub outer: OuterTensors,
    /// The format in which it is written; absent: the base's.
    pub dtype: Option<Dtype>,
    /// The format in which merges compute: tensors are cast to it, and every operation rounds to it, as mergekit does
    /// with its `dtype`. Absent, and best: f32 throughout.
    pub compute: Option<Dtype>,
    /// The model whose tokenizer files it gets; absent: the base.
    pub tokenizer: Option<String>,
    /// How models with different tokens share one vocabulary, which then has its own tokenizer files. Absent: all that
    /// the outer tensors are made of must have equally many rows.
    pub vocabulary: Option<Vocabulary>,
    /// How its model is spoken to: a Jinja template, `auto` for the one that most of its models have, or `chatml`.
    /// Absent: as in the tokenizer's files.
    pub chat_template: Option<String>,
}

/// One output layer: where it comes from, what is added to its weights, and by what its output is scaled (1 = as it is;
/// below 0.001 refused).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "text::OutputLayerText", into = "text::OutputLayerText")]
pub struct OutputLayer {
    /// Where its tensors come from.
    pub from: LayerExpr,
    /// What is added to some of these tensors, in f32, before they are rounded to the format in which they are stored.
    pub bridge: Option<BridgeRef>,
    /// Factor of the residual stream after the layer.
    pub scale: f32,
}

impl OutputLayer {
    /// A layer of a model, from 0, as it is.
    #[must_use]
    pub fn take(model: &str, layer: usize) -> Self {
        Expr::Take(LayerRef { model: model.to_owned(), layer }).into()
    }

    /// A merge of layers.
    /// ```
    /// use layer_ir::{Merge, OutputLayer};
    /// let layer = OutputLayer::merge(Merge::new("ties").with("density", 0.4).source("math", 3).source("chat", 3));
    /// assert_eq!(layer.from.models().collect::<Vec<_>>(), ["math", "chat"]);
    /// ```
    #[must_use]
    pub fn merge(merge: Merge<LayerRef>) -> Self {
        Expr::Merge(merge).into()
    }
}

/// A layer without a bridge, whose output is not scaled.
impl From<LayerExpr> for OutputLayer {
    fn from(from: LayerExpr) -> Self {
        Self { from, bridge: None, scale: 1.0 }
    }
}

/// Where the tensors outside of the layers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterTensors {
    /// The token embedding.
    pub embedding: OuterExpr,
    /// The final norm.
    pub final_norm: OuterExpr,
    /// The output head; ignored where the base's embeddings are tied.
    pub head: OuterExpr,
}

impl OuterTensors {
    /// All of one model.
    #[must_use]
    pub fn of(model: &str) -> Self {
        let outer = || Expr::Take(ModelRef { model: model.to_owned() });
        Self { embedding: outer(), final_norm: outer(), head: outer() }
    }

    /// The embedding made as the first layer is, the final norm and the head as the last one, as in GPTailor.
    #[must_use]
    pub fn like(first: &LayerExpr, last: &LayerExpr) -> Self {
        let (first, last) = (first.without_layers(), last.without_layers());
        Self { embedding: first, final_norm: last.clone(), head: last }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, outer: crate::OuterTensor) -> &OuterExpr {
        match outer {
            crate::OuterTensor::Embedding => &self.embedding,
            crate::OuterTensor::FinalNorm => &self.final_norm,
            crate::OuterTensor::Head => &self.head,
        }
    }
}

impl Recipe {
    /// The first `layers` layers of the base, as they are. `base` is one of the names of `models`.
    #[must_use]
    pub fn of_base(models: IndexMap<String, String>, base: &str, layers: usize) -> Self {
        Self {
            models,
            base: base.to_owned(),
            base_at: BaseAt::default(),
            layers: (0..layers).map(|layer| OutputLayer::take(base, layer)).collect(),
            outer: OuterTensors::of(base),
            dtype: None,
            compute: None,
            tokenizer: None,
            vocabulary: None,
            chat_template: None,
        }
    }

    /// One model of a family as it is, with as many layers as the base has.
    #[must_use]
    pub fn of_model(family: &Family, model: &str) -> Self {
        let recipe = Self::of_base(family.paths(), family.base_name(), 0);
        let layers = (0..family.base().num_layers()).map(|layer| OutputLayer::take(model, layer)).collect();
        Self { layers, outer: OuterTensors::of(model), ..recipe }
    }

    /// Reads the YAML of a recipe. Its models are named as they stand there: nothing is looked up.
    /// ```
    /// use layer_ir::Recipe;
    ///
    /// let text = "{tailor: 1, models: {base: ../base}, base: base, layers: [{take: {model: base, layer: 5}}]}";
    /// let recipe = Recipe::from_yaml(text)?;
    /// assert_eq!((recipe.layers.len(), recipe.used_models()), (1, vec!["base"]));
    /// assert_eq!(Recipe::from_yaml(&recipe.to_yaml()?)?, recipe);
    /// # Ok::<(), layer_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::RecipeText`] says where the text is not a recipe.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        Ok(serde_yaml_ng::from_str(text)?)
    }

    /// Its YAML.
    ///
    /// # Errors
    /// Never for a recipe with finite numbers, and bridges whose paths are Unicode.
    pub fn to_yaml(&self) -> Result<String, Error> {
        Ok(serde_yaml_ng::to_string(self)?)
    }

    /// Reads a recipe's file; its models and bridges become paths as they can be opened.
    ///
    /// # Errors
    /// The file cannot be read, is no recipe, or one of its models is nowhere.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read_with(path, &crate::Hub::default())
    }

    /// As [`Recipe::read`]; models that are not here are downloaded, if `hub` says so.
    ///
    /// # Errors
    /// As of [`Recipe::read`]; those of [`Recipe::open_family`] before weights are downloaded; [`Error::Hub`].
    pub fn read_with(path: impl AsRef<Path>, hub: &crate::Hub) -> Result<Self, Error> {
        let file = path.as_ref().to_owned();
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read { file: file.clone(), source })?;
        let mut recipe: Self =
            serde_yaml_ng::from_str(&text).map_err(|source| Error::Yaml { file: file.clone(), source })?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut finder = crate::ModelFinder::new(hub);
        for model in recipe.models.values_mut() {
            *model = finder.find(model, folder)?.display().to_string();
        }
        recipe.complete(finder)?;
        for bridge in recipe.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut()) {
            bridge.file = folder.join(&bridge.file);
        }
        Ok(recipe)
    }

    /// Downloads the weights of its models that are not here.
    pub(crate) fn complete(&self, finder: crate::ModelFinder<'_>) -> Result<(), Error> {
        let models = self.models.iter().map(|(name, path)| (name.as_str(), path)).collect();
        finder.complete(&models, &self.base, self.vocabulary.is_some())
    }

    /// The models that something of it is made of, the base first, then as they appear.
    #[must_use]
    pub fn used_models(&self) -> Vec<&str> {
        let layers = self.layers.iter().flat_map(|layer| layer.from.models());
        let outer = [&self.outer.final_norm, &self.outer.head].into_iter().flat_map(OuterExpr::models);
        let mut models = vec![self.base.as_str()];
        for model in self.outer.embedding.models().chain(layers).chain(outer) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
    }

    /// The model whose tokenizer's files the result has, as they are or grown by the vocabulary's tokens.
    #[must_use]
    pub fn tokenizer_owner(&self) -> &str {
        let of_vocabulary = self.vocabulary.as_ref().and_then(|vocabulary| match &vocabulary.align {
            Align::Model(model) => Some(model.as_str()),
            Align::Base | Align::Union | Align::Gptailor => None,
        });
        of_vocabulary.or(self.tokenizer.as_deref()).unwrap_or(&self.base)
    }

    /// Opens the models that it names; with a vocabulary, they may have different tokens.
    ///
    /// # Errors
    /// As of [`Family::open`].
    pub fn open_family(&self) -> Result<Family, Error> {
        match self.vocabulary {
            None => Family::open(&self.models, &self.base),
            Some(_) => Family::open_to_align(&self.models, &self.base),
        }
    }

    /// As [`Recipe::open_family`], for a look at names and shapes: as [`Family::open_outline`].
    ///
    /// # Errors
    /// As of [`Recipe::open_family`].
    pub fn open_outline(&self) -> Result<Family, Error> {
        Family::open_outline(&self.models, &self.base, self.vocabulary.is_some())
    }

    /// Exact division that lets a plain checkpoint stand for output scales: for each layer the `C` by which the weights
    /// and biases of its `o_proj` and `down_proj` are divided.
    ///
    /// `x <- s (x + f(x))` at a layer scales the residual stream by `s`; the stream divided by `C`, the product of the
    /// scales before, obeys `x <- x + f(x) / C`, as RMSNorm undoes a common factor (up to its epsilon), the final norm
    /// also the last.
    /// ```
    /// use layer_ir::{OutputLayer, Recipe};
    ///
    /// let mut recipe = Recipe::of_base([].into(), "base", 3);
    /// recipe.layers[0] = OutputLayer { scale: 2.0, ..OutputLayer::take("base", 0) };
    /// assert_eq!(recipe.scale_divisors(), [1.0, 2.0, 2.0]);
    /// ```
    #[must_use]
    pub fn scale_divisors(&self) -> Vec<f64> {
        let mut product = 1.0;
        let divisor = |layer: &OutputLayer| {
            let before = product;
            product *= f64::from(layer.scale);
            before
        };
        self.layers.iter().map(divisor).collect()
    }
}
