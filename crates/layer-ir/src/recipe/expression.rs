//! What one output layer, or one outer tensor, is made of.

use serde::{Deserialize, Serialize};

use super::{Parameters, Setting, text};

/// Taken as it is, or merged from several. `S` says what a source is: a layer of a model, or a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "text::ExprText<S>",
    into = "text::ExprText<S>",
    bound(serialize = "S: Clone + Serialize", deserialize = "S: serde::de::DeserializeOwned")
)]
pub enum Expr<S> {
    /// One source, unchanged.
    Take(S),
    /// Several sources, by a merge method.
    Merge(Merge<S>),
}

impl<S: AsRef<str>> Expr<S> {
    /// The models that it is made of, the base of its merge last. A model may stand there more than once.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let (taken, merge) = match self {
            Self::Take(of) => (Some(of.as_ref()), None),
            Self::Merge(merge) => (None, Some(merge)),
        };
        let sources = merge.into_iter().flat_map(|merge| &merge.sources).map(|source| source.of.as_ref());
        let base = merge.and_then(|merge| merge.base.as_ref()).map(|base| base.model.as_str());
        taken.into_iter().chain(sources).chain(base)
    }
}

impl LayerExpr {
    /// The same merge for a tensor outside of the layers: of the same models, without their layer numbers.
    #[must_use]
    pub fn without_layers(&self) -> OuterExpr {
        let of = |layer: &LayerRef| ModelRef { model: layer.model.clone() };
        match self {
            Self::Take(source) => Expr::Take(of(source)),
            Self::Merge(merge) => {
                let source =
                    |source: &Source<LayerRef>| Source { of: of(&source.of), parameters: source.parameters.clone() };
                let sources = merge.sources.iter().map(source).collect();
                let Merge { method, parameters, base, .. } = merge.clone();
                Expr::Merge(Merge { method, parameters, base, sources })
            }
        }
    }

    /// The model and the layer whose place decides what is not in an output layer's tensors, such as a sliding window:
    /// the layer taken, or the base of a merge, or its first source if it has no base.
    #[must_use]
    pub fn origin(&self) -> Option<(&str, usize)> {
        match self {
            Self::Take(source) => Some((&source.model, source.layer)),
            Self::Merge(merge) => {
                let base = merge.base.as_ref().and_then(|base| Some((base.model.as_str(), base.layer?)));
                base.or_else(|| merge.sources.first().map(|source| (source.of.model.as_str(), source.of.layer)))
            }
        }
    }
}

/// The model's name.
impl AsRef<str> for LayerRef {
    fn as_ref(&self) -> &str {
        &self.model
    }
}

/// The model's name.
impl AsRef<str> for ModelRef {
    fn as_ref(&self) -> &str {
        &self.model
    }
}

/// What a layer is made of.
pub type LayerExpr = Expr<LayerRef>;
/// What an outer tensor of the model is made of.
pub type OuterExpr = Expr<ModelRef>;

/// A layer of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRef {
    /// The model's name.
    pub model: String,
    /// The layer, from 0.
    pub layer: usize,
}

/// A model, for tensors that it has once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    /// The model's name.
    pub model: String,
}

/// A merge of several sources.
///
/// The base is never among the sources unless it is merged like any other: `task_arithmetic`, `ties` and their like
/// have the sources of the deltas only; `slerp` goes from the base (`t` = 0) to its one source (`t` = 1); `linear` and
/// `passthrough` have no base.
///
/// A parameter of a source, such as `weight`, is looked up in the source first, then in the merge, by the name of the
/// source's own tensor; a parameter of the whole merge, such as `lambda`, in the merge alone, by the name of the
/// output's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "S: Clone + Serialize", deserialize = "S: serde::de::DeserializeOwned"))]
pub struct Merge<S> {
    /// A name of the merge registry, such as `ties`.
    pub method: String,
    /// Parameters of the method, and of all sources that do not have their own.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// What deltas are taken from. Absent: the recipe's base where the method needs one ([`super::BaseRule::Always`]),
    /// which the canonical form writes here with its layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseRef>,
    /// What is merged, in order.
    pub sources: Vec<Source<S>>,
}

impl<S> Merge<S> {
    /// A merge by a method of the merge registry, still without sources, parameters or a base of its own.
    #[must_use]
    pub fn new(method: &str) -> Self {
        Self { method: method.to_owned(), parameters: Parameters::default(), base: None, sources: Vec::new() }
    }

    /// The same with a parameter for all sources.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Setting>) -> Self {
        self.parameters.set(parameter, value);
        self
    }
}

impl Merge<LayerRef> {
    /// The same with one more source: a layer of a model, from 0.
    #[must_use]
    pub fn source(mut self, model: &str, layer: usize) -> Self {
        let of = LayerRef { model: model.to_owned(), layer };
        self.sources.push(Source { of, parameters: Parameters::default() });
        self
    }

    /// As [`Merge::source`], with a `weight` of its own.
    #[must_use]
    pub fn weighted_source(self, model: &str, layer: usize, weight: f64) -> Self {
        let mut merge = self.source(model, layer);
        if let Some(source) = merge.sources.last_mut() {
            source.parameters.set("weight", weight);
        }
        merge
    }
}

/// The base of a merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRef {
    /// The model's name.
    pub model: String,
    /// Its layer; absent: as [`super::BaseAt`] says. Means nothing at the outer tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
}

/// A source of a merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "text::SourceText",
    bound(serialize = "S: Clone + Serialize", deserialize = "S: serde::de::DeserializeOwned")
)]
pub struct Source<S> {
    /// Which one.
    #[serde(flatten)]
    pub of: S,
    /// Its own parameters.
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}
