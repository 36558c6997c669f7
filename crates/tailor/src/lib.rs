//! The command line of Tailor and the report of a study. The search itself is the crate [`recipe_search`].
//!
//! [`report`] makes the page and the tables of a finished study, [`LayerMap`] the picture of a recipe, and [`write_model`] a checkpoint.

mod error;
pub mod report;
mod write;

pub use error::Error;
pub use report::LayerMap;
pub use write::{check_export_folder, preview_model, write_model};
