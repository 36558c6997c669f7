//! The YAML of recipes: what stands in the file, key by key.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{
    BaseAt, BridgeRef, Expr, LayerExpr, LayerRef, Merge, OuterTensors, OutputLayer, Parameters, Recipe, Source,
    Vocabulary,
};
use crate::{Dtype, Error};

/// The version of the format.
const VERSION: u64 = 1;

/// The keys of a recipe, in the order in which they are written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeText {
    tailor: u64,
    models: IndexMap<String, String>,
    base: String,
    #[serde(default, skip_serializing_if = "is_default")]
    base_at: BaseAt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dtype: Option<Dtype>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compute: Option<Dtype>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokenizer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vocabulary: Option<Vocabulary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chat_template: Option<String>,
    layers: Vec<OutputLayer>,
    /// Absent: all of the base.
    #[serde(default, rename = "ends", skip_serializing_if = "Option::is_none")]
    outer: Option<OuterTensors>,
}

/// Whether the key need not be written.
fn is_default(at: &BaseAt) -> bool {
    *at == BaseAt::default()
}

impl TryFrom<RecipeText> for Recipe {
    type Error = Error;

    fn try_from(text: RecipeText) -> Result<Self, Error> {
        if text.tailor != VERSION {
            return Err(Error::RecipeVersion { found: text.tailor, known: VERSION });
        }
        Ok(Self {
            outer: text.outer.unwrap_or_else(|| OuterTensors::of(&text.base)),
            models: text.models,
            base: text.base,
            base_at: text.base_at,
            layers: text.layers,
            dtype: text.dtype,
            compute: text.compute,
            tokenizer: text.tokenizer,
            vocabulary: text.vocabulary,
            chat_template: text.chat_template,
        })
    }
}

impl From<Recipe> for RecipeText {
    fn from(recipe: Recipe) -> Self {
        let plain = recipe.outer == OuterTensors::of(&recipe.base);
        Self {
            tailor: VERSION,
            models: recipe.models,
            base: recipe.base,
            base_at: recipe.base_at,
            dtype: recipe.dtype,
            compute: recipe.compute,
            tokenizer: recipe.tokenizer,
            vocabulary: recipe.vocabulary,
            chat_template: recipe.chat_template,
            layers: recipe.layers,
            outer: (!plain).then_some(recipe.outer),
        }
    }
}

/// The keys of an output layer: `take` or `merge`, `bridge` and `scale`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputLayerText {
    #[serde(skip_serializing_if = "Option::is_none")]
    take: Option<LayerRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge: Option<Merge<LayerRef>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<BridgeRef>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    scale: f32,
}

/// The scale of a layer that states none.
fn one() -> f32 {
    1.0
}

/// Whether the scale need not be written.
fn is_one(scale: &f32) -> bool {
    *scale == 1.0
}

/// What is wrong with both keys or none.
const EITHER: &str = "write either `take` or `merge`";

impl TryFrom<OutputLayerText> for OutputLayer {
    type Error = &'static str;

    fn try_from(text: OutputLayerText) -> Result<Self, &'static str> {
        let from = LayerExpr::try_from(ExprText { take: text.take, merge: text.merge })?;
        Ok(Self { from, bridge: text.bridge, scale: text.scale })
    }
}

impl From<OutputLayer> for OutputLayerText {
    fn from(layer: OutputLayer) -> Self {
        let ExprText { take, merge } = layer.from.into();
        Self { take, merge, bridge: layer.bridge, scale: layer.scale }
    }
}

/// The keys of an expression: `take` or `merge`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "S: Clone + Serialize", deserialize = "S: serde::de::DeserializeOwned"))]
pub(super) struct ExprText<S> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    take: Option<S>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    merge: Option<Merge<S>>,
}

impl<S> TryFrom<ExprText<S>> for Expr<S> {
    type Error = &'static str;

    fn try_from(text: ExprText<S>) -> Result<Self, &'static str> {
        match (text.take, text.merge) {
            (Some(source), None) => Ok(Self::Take(source)),
            (None, Some(merge)) => Ok(Self::Merge(merge)),
            _ => Err(EITHER),
        }
    }
}

impl<S> From<Expr<S>> for ExprText<S> {
    fn from(expr: Expr<S>) -> Self {
        match expr {
            Expr::Take(source) => Self { take: Some(source), merge: None },
            Expr::Merge(merge) => Self { take: None, merge: Some(merge) },
        }
    }
}

/// A source; what is not its parameters says which one it is. Going through a map lets a misspelt key be refused, which
/// serde's `flatten` alone does not.
#[derive(Deserialize)]
pub(super) struct SourceText {
    #[serde(default)]
    parameters: Parameters,
    #[serde(flatten)]
    of: serde_json::Map<String, serde_json::Value>,
}

impl<S: serde::de::DeserializeOwned> TryFrom<SourceText> for Source<S> {
    type Error = serde_json::Error;

    fn try_from(text: SourceText) -> Result<Self, serde_json::Error> {
        Ok(Self { of: serde_json::from_value(text.of.into())?, parameters: text.parameters })
    }
}
