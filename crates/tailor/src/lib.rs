//! The command line of Tailor and the report of a study. The search itself is the crate [`recipe_search`].
//!
//! [`report`] makes the page and the tables of a finished study, [`LayerMap`] the picture of a recipe.

mod error;
pub mod report;

pub use error::Error;
pub use report::LayerMap;
