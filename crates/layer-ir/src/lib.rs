//! What is a model made of? Checkpoints, layer recipes, their cost and their passes, without a tensor library.
//!
//! A [`Checkpoint`] is a Hugging Face model folder, mapped into memory; a [`Family`] is a base and its variants that
//! fit together; a [`Recipe`] says for each layer of a new model where it comes from, and becomes a [`ValidRecipe`]
//! against a family. [`Cost`] says what a model takes. An [`Alignment`] gives models with different tokens one
//! vocabulary. [`mergekit`] and [`gptailor`] read the recipes of others.
//! ```no_run
//! use layer_ir::{Cost, Dtype, Recipe};
//!
//! # fn show(methods: &dyn layer_ir::Methods) -> Result<(), layer_ir::Error> {
//! let recipe = Recipe::read("tailored.yaml")?;
//! let family = recipe.open_family()?;
//! let recipe = recipe.validate(&family, methods)?; // the merge methods: such as `merge_ops::Registry::standard()`
//! let cost = Cost::of_recipe(family.base(), &recipe, Dtype::BF16);
//! println!("{} layers, {} parameters", cost.layers, cost.parameters);
//! # Ok(())
//! # }
//! ```
mod dtype;
mod error;
mod hub;

mod architecture;
mod config;
mod outer_tensor;
mod rope;

mod checkpoint;
mod family;

mod cost;
mod recipe;
mod vocabulary;

pub mod gptailor;
pub mod mergekit;

pub use architecture::{
    Architecture, ArchitectureSpec, Defaults, Dimension, LayerTensor, OptionalPart, Presence, Role, Sliding, TensorSpec,
};
pub use checkpoint::{Checkpoint, OpenedFile, PickleError, TensorSource, TensorView};
pub use config::ModelConfig;
pub use cost::Cost;
pub use dtype::Dtype;
pub use error::Error;
pub use family::Family;
pub use hub::{ModelFinder, resolve_model, resolve_model_with};
pub use outer_tensor::OuterTensor;
pub use recipe::{
    Align, BaseAt, BaseRef, BaseRule, Bridge, BridgeError, BridgeRef, DrawsBy, Expr, Filtered, Identity, LayerExpr,
    LayerRef, Merge, MergeSettings, Mergekit, MethodError, MethodSpec, Methods, ModelRef, OuterExpr, OuterTensors,
    OutputLayer, Parameters, Place, Recipe, RowOf, Setting, Source, SourceSettings, TokenRow, ValidRecipe, Value,
    Vocabulary,
};
pub use rope::{Rope, RopeKind, Yarn};
pub use tailor_hub::Hub;
pub use vocabulary::{
    AddedToken, Alignment, ConvertedTokenizer, OuterRows, Row, Tokens, convert_tokenizer, tokenizer_files,
};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
