//! Bridges over removed layers, in closed form: the last layer before a gap is changed so that what comes behind the
//! gap sees about what it saw before.
//!
//! [`Statistics`] of a model are gathered in one walk of its calibration text through it. From them follow, without
//! another look at the text, the bridges over every [`Gap`] up to a largest length:
//!
//! | bridge | what changes | |
//! |---|---|---|
//! | [`Statistics::refit`] | the down projection, freely | most numbers to fit, best with enough text |
//! | [`Statistics::replaceme`] | the down projection, by a map on its output | ReplaceMe (Shopkhoev et al. 2025) |
//! | [`Statistics::scale`] | the layer's output scale | one number |
//!
//! [`bridge`] puts a refitted bridge before each gap of a recipe; [`bridge_sequentially`] refits every layer from the
//! first gap on, on what the cut model itself computes, and [`bridge_sequentially_with`] the projections behind the
//! attention too. [`sink_makers`] names layers that should not be removed, as no bridge mends their loss.
//! [`StatisticsFile::open_or_gather`] keeps the statistics in a file, with a hash of model, text and settings.
//! A change of the down projection is a [`DownProjDelta`]. Added to the weight, it leaves a plain checkpoint.
//!
//! ```
//! use layer_runtime::{RecipeModel, open_device};
//! use recipe_search::bridges::{Gap, Statistics, StatisticsSettings};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");
//! let mut model = RecipeModel::open(folder, open_device("cpu")?)?;
//! let calibration: Vec<Vec<u32>> = (0..20).map(|i| (0..40).map(|j| (i * 31 + j * 7) % 300).collect()).collect();
//! let statistics = Statistics::gather(&mut model, &calibration, StatisticsSettings::default())?;
//! let bridge = statistics.refit(Gap { after: 0, length: 1 }, &[0.001, 0.01, 0.1])?; // layer 1 goes
//! assert!(bridge.tried.iter().any(|tried| tried.held_back_error < 1.0), "less than without a bridge");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cholesky;
mod delta;
mod error;
mod gaps;
mod gather;
mod memory;
mod products;
mod recipe;
mod refit;
mod ridge;
mod sequential;
mod sinks;
mod sources;
mod statistics;
mod store;
mod student;
mod sums;
mod teacher;
#[cfg(test)]
mod tests;
mod triangle;
mod walk;

pub use delta::{DownProjDelta, OProjDelta, write_deltas};
pub use error::FitError;
pub use gaps::Gap;
pub use memory::StatisticsShape;
pub use recipe::{FittedBridge, RecipeGap, bridge, gaps};
pub use refit::{FittedDelta, FittedScale};
pub use ridge::TriedRidge;
pub use sequential::{
    FittedOProj, SequentialBridge, SequentialSettings, bridge_sequentially, bridge_sequentially_with,
};
pub(crate) use sinks::StreamLengths;
pub use sinks::{Sink, find_sinks, sink_makers};
pub(crate) use sources::{SourceGap, down_proj, source_gaps};
pub use statistics::{Statistics, StatisticsSettings};
pub use store::StatisticsFile;
pub use teacher::TaughtText;
