//! Find and write the best recipe: cut and stitch a base model and its fine-tunes into one smaller model.
//!
//! A [`StudyFile`] names the models, the tasks and what may vary; a [`Search`] scores the parents and the baselines, lets a strategy
//! of zo-search choose points of a [`RecipeSpace`], scores the recipes that they stand for with a [`Judge`], and confirms the best on
//! documents that it has not seen; a [`StudyFolder`] holds what it found, and [`write_model`] makes a checkpoint of it.
//! ```no_run
//! use tailor::{Search, StudyFile, StudyFolder};
//!
//! let search = Search::new(StudyFile::read("study.toml".as_ref())?)?;
//! let folder = StudyFolder::new("out");
//! let result = search.run(&folder, &mut |event| eprintln!("{event:?}"))?;
//! println!("{}", result.best()?.recipe);
//! # Ok::<(), tailor::Error>(())
//! ```
//! Strategies, spaces and merge methods of your own go in through [`Search::with_optimizer`], [`Search::with_space`] and
//! [`Search::with_registry`].

mod error;
mod study_file;

mod designs;
mod prune_space;

mod judge;
mod score;

pub mod baselines;
mod confirm;
mod results;
mod search;
mod test_split;
mod text;

mod layer_map;
pub mod report;
mod write;

pub use designs::{RemovalOrder, removal_orders};
pub use error::Error;
pub use judge::{Judge, Part, Split};
pub use layer_map::{LayerCell, LayerMap, LayerUse};
pub use prune_space::{PruneSpace, RecipeSpace};
pub use results::{
    Candidate, FrontMember, FrontScores, Named, Parents, ScoredBaseline, SearchResult, StudyFolder, TestScores,
    TimeSpent, check_writable, write_whole,
};
pub use score::{Reference, Scores, TaskScore};
pub use search::{Event, Incumbent, OptimizerFactory, Search};
pub use study_file::{
    BaselineSettings, EndsSetting, FurtherObjective, Models, ObjectiveKind, Remove, RuntimeSettings, Scheduler,
    SearchSettings, SpaceSettings, Store, Strategy, StudyFile, TaskSettings,
};
pub use text::token_text;
pub use write::{check_export_folder, preview_model, write_model};
