//! The command line of Tailor and the report of a study. The search itself is the crate [`recipe_search`].
//!
//! [`report`] makes the page and the tables of a finished study, [`LayerMap`] the picture of a recipe, and `serve` (the
//! feature of that name, on by default) shows a study while it runs. The command
//! `tailor` is this crate's binary; a program that wants the search without it uses [`recipe_search`].
//!
//! What `tailor report` does, in Rust:
//! ```no_run
//! use recipe_search::{FinishedSearch, Search, StudyFolder};
//! use tailor::report::{summary, write_report};
//!
//! let folder = StudyFolder::new("found");
//! let (search, finished) = (Search::new(folder.study()?)?, FinishedSearch::read(&folder)?);
//! let test = search.test(&folder, &finished, None, &mut |_| ())?; // scored now, or read from test.json
//! write_report(&search, &folder, &finished, &test)?; // found/report.html
//! let (layers, kept) = (search.family().base().num_layers(), finished.result.best.recipe.layers.len());
//! println!("{}", summary(&test, layers, kept));
//! # Ok::<(), tailor::Error>(())
//! ```

mod error;
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;

pub use error::Error;
pub use report::LayerMap;
