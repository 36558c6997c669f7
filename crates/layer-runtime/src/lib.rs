//! Run a layer recipe, fast: a decoder on burn that builds each layer straight from the checkpoints, as the recipe
//! says.
//!
//! A [`Runtime`] holds the checkpoints of one model family on one device. A [`RecipeModel`] is a recipe on it: no
//! tensor is touched before it is asked for logits, scores or continuations. Then each layer that the runtime does
//! not have yet is merged and laid out, and kept for all models of the runtime. Nothing is written to disk.
//!
//! ```
//! use layer_runtime::{RecipeModel, open_device};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
//! let mut model = RecipeModel::open(folder, open_device("cpu")?)?; // a checkpoint as it is
//! let logits = model.logits(&[&[1, 17, 4]])?; // [tokens, vocabulary] of each sequence
//! assert_eq!(logits[0].len(), 3 * model.vocabulary());
//! # Ok::<(), layer_runtime::Error>(())
//! ```
//!
//! [`Runtime::model`] runs any recipe of a family. Every model is a [`task_eval::LanguageModel`], which tasks are
//! evaluated on.
//!
//! # How it is computed
//! - Tokens that sequences of a call begin with are computed once, and so are the first layers that recipes have in
//!   common: their residual streams are kept. A [`WorkPlan`] says how a call is computed, [`Timings`] say where the
//!   time went.
//! - On the CPU, own kernels compute in f32, or in bf16 with sums in f32. On other devices burn's operations do. An
//!   engine is hidden behind one trait; a table holds those that there are.
//! - Answers do not depend on batches, budgets or threads, but for the rounding in which devices differ.

mod device;
mod error;
mod options;
mod timings;

// A model's parts, before any engine lays them out.
mod rope;
mod weights;

// A call's sequences: packed into batches, in some order.
mod attention;
mod batch;
mod pack;
mod trie;
mod work_plan;

// An engine, and what it has built.
mod bank;
mod burn_engine;
mod cpu;
mod engine;
mod engines;
mod loaded;
mod prepared;
mod shared;
mod states;

// The walk over the layers, for any engine.
mod activations;
mod executor;
mod forward;
mod generate;
mod logits;
mod sampling;
mod score;

// What users hold.
mod explain;
mod model;
mod runtime;
mod workers;

pub use activations::{Activations, ActivationsOptions, AttentionActivations, TokenPlace};
pub use burn::tensor::Device;
pub use device::{Backend, DeviceInfo, devices, instruction_sets, open_device, open_devices};
pub use error::Error;
pub use explain::Explainer;
pub use model::RecipeModel;
pub use options::RuntimeOptions;
pub use runtime::Runtime;
pub use sampling::Sampling;
pub use timings::Timings;
pub use work_plan::WorkPlan;
