//! Which recipe is best? Cuts and stitches a base model and its fine-tunes into one smaller model, and finds out how.
//!
//! A [`Study`], read from a [`StudyFile`] and checked, names the models, the tasks and what may vary; a [`Search`] scores the parents and the baselines, lets a strategy
//! of zo-search choose points of a [`RecipeSpace`], scores the recipes that they stand for with a [`Judge`], and confirms the best on
//! documents that it has not seen; a [`StudyFolder`] holds what it found.
//! ```no_run
//! use recipe_search::{Search, Study, StudyFolder};
//!
//! let search = Search::new(Study::read("study.toml".as_ref())?)?;
//! let folder = StudyFolder::new("out");
//! let result = search.run(&folder, &mut |event| eprintln!("{event:?}"))?;
//! println!("{}", result.best()?.recipe);
//! # Ok::<(), recipe_search::Error>(())
//! ```
//! Strategies, spaces and merge methods of your own go in through [`Search::with_optimizer`], [`Search::with_space`] and
//! [`Search::with_registry`].

mod error;
mod study;

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

pub use designs::{RemovalOrder, removal_orders};
pub use error::Error;
pub use judge::{Judge, Part, Split};
pub use prune_space::{PruneSpace, RecipeSpace};
pub use results::{
    Candidate, FrontMember, FrontScores, Named, Parents, ScoredBaseline, SearchResult, StudyFolder, TestScores,
    TimeSpent, check_writable, is_free, write_whole,
};
pub use score::{Reference, Scores, TaskScore};
pub use search::{Event, Incumbent, OptimizerFactory, Search};
pub use study::{
    BaselineSettings, Difference, EndsSetting, FurtherObjective, Identity, Models, ObjectiveKind, Remove,
    RuntimeSettings, Scheduler, SearchSettings, SpaceSettings, Store, Strategy, Study, StudyFile, TaskSettings,
};
pub use text::token_text;
