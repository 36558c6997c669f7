//! How do several tensors become one? Merge methods of mergekit and GPTailor on burn tensors, and a streaming export.
//!
//! A [`MergeOp`] first says what it must know of the whole tensors (norms, cuts), then makes pieces of the result of pieces of them,
//! by a formula that is written once for the CPU's caches and for any device ([`Numbers`]); a [`Registry`] finds it by the name that a recipe uses. [`build_layer_tensor`] and [`build_end_tensor`] make
//! one tensor of a recipe on any device, [`export`] writes all of them as a Hugging Face checkpoint.
//! ```no_run
//! use layer_ir::Recipe;
//! use merge_ops::{ExportOptions, Registry, export};
//!
//! let recipe = Recipe::read("tailored.yaml")?;
//! let family = recipe.open_family()?;
//! let recipe = recipe.validate(&family)?;
//! let done = export(&family, &recipe, &Registry::standard(), "out".as_ref(), &ExportOptions::default(), &|_| ())?;
//! println!("{} parameters in {} files", done.parameters, done.files.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod error;
mod settings;

mod gathered;
mod lanes;
mod numbers;
mod operand;
mod precision;
mod window;

mod bits;
mod draws;
mod gram;
mod op;
mod select;

mod methods;
mod registry;

mod build;
mod check;

mod export;

pub use build::{build_end_tensor, build_layer_tensor, merge_on_cpu, merge_on_device};
pub use check::check_recipe;
pub use error::Error;
pub use export::{
    CheckpointWriter, DEFAULT_FORMAT, ExportModel, ExportOptions, ExportPreview, ExportProgress, ExportSummary,
    FileLayout, PlacedTensor, PlannedMerge, PlannedRead, PlannedTensor, TensorOrigin, WeightFile, check_output,
    checkpoint_writers, export, export_as, preview_export,
};
pub use lanes::{LaneMask, Lanes};
pub use numbers::Numbers;
pub use op::{Block, Inputs, MergeOp, Piece};
pub use operand::Operand;
pub use registry::{Method, Registry};
pub use select::Cut;
pub use settings::{Settings, Signature, SourceSettings};
