//! How do several tensors become one? Merge methods of mergekit and GPTailor on burn tensors, and a streaming export.
//!
//! A [`MergeOp`] is a merge method: it describes itself, prepares what it needs of the whole tensors (norms, cuts),
//! then makes pieces of the result of pieces of them, by a formula that is written once for the CPU's caches and for
//! any device ([`Numbers`]). A [`Registry`] has the methods by the names that recipes use, ours and yours; [`tools`] is
//! what ours are made of. [`RecipeTensors`] makes one tensor of a recipe on any device, [`export`] writes all of them
//! as a Hugging Face checkpoint.
//! ```no_run
//! use layer_ir::Recipe;
//! use merge_ops::{ExportOptions, RecipeTensors, Registry, export};
//!
//! let recipe = Recipe::read("tailored.yaml")?;
//! let family = recipe.open_family()?;
//! let registry = Registry::standard();
//! let recipe = recipe.validate(&family, &registry)?;
//! let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
//! let done = export(source, "out", &ExportOptions::default())?;
//! println!("{} parameters in {} files", done.parameters, done.files.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod error;

mod block_reader;
mod gathered;
mod lanes;
mod numbers;
mod operand;
mod precision;

mod bits;
mod draws;
mod gram;
mod op;
mod order_statistics;
mod select;
pub mod tools;

mod methods;
mod registry;

mod build;

mod export;

pub use build::{RecipeTensors, merge_on_cpu, merge_on_device};
pub use error::Error;
pub use export::{
    CheckpointWriter, DEFAULT_FORMAT, ExportModel, ExportOptions, ExportPreview, ExportProgress, ExportSummary,
    FileLayout, PlacedTensor, PlannedBridge, PlannedMerge, PlannedRead, PlannedTensor, TensorOrigin, WeightFile,
    check_output, checkpoint_writers, export, preview_export,
};
pub use lanes::{LaneMask, Lanes};
pub use numbers::Numbers;
pub use op::{Block, Inputs, MergeOp, Piece};
pub use operand::Operand;
pub use registry::{Method, Registry};
