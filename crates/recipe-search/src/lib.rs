//! Which recipe is best? Cuts and stitches a base model and its fine-tunes into one smaller model, and finds out how.
//!
//! A [`Study`], read from a [`StudyFile`] and checked, names the models, the tasks and what may vary. A [`Search`]
//! scores the parents and the baselines, lets a strategy of zo-search choose points of a [`RecipeSpace`], scores the
//! recipes that they stand for with a [`RecipeEvaluator`], and confirms the best on documents that it has not seen. A
//! [`StudyFolder`] holds what it found.
//!
//! ```no_run
//! use recipe_search::{Search, Study, StudyFolder};
//!
//! let search = Search::new(Study::read("study.toml".as_ref())?)?;
//! let folder = StudyFolder::new("out");
//! let found = search.run(&folder, &mut |event| eprintln!("{event:?}"))?;
//! println!("{}", found.result.best.recipe.to_yaml()?);
//! # Ok::<(), recipe_search::Error>(())
//! ```
//! Whatever has a name in a study (merge methods, strategies, schedulers, stores, spaces, objectives, baselines, and
//! the metrics and filters of task files) is a row of [`Tables`]. A program registers its own there, checks the study
//! with them ([`StudyFile::check_with`]), and tries their laws by [`testing`].

mod error;
mod study;

mod space;

mod evaluator;
mod objectives;
mod scores;
mod tables;

pub mod baselines;
pub mod bridges;
mod calibration;
mod confirm;
mod results;
mod screening;
mod search;
#[cfg(test)]
mod sink_model;
mod test_split;
pub mod testing;
mod text;

pub use baselines::{BaselineSettings, TestedBaselines, standard_baselines};
pub use calibration::right_answers;
pub use error::Error;
pub use evaluator::{DocumentMeter, DocumentSet, DocumentsDone, EvaluatorSettings, RecipeEvaluator, Split, WorkDone};
pub use objectives::{
    DocumentLoss, FurtherObjective, Objective, Observation, ParametersLeft, ScoredRecipe, TaskLosses, TaskReference,
    standard_further_objectives, standard_objectives,
};
pub use results::{
    Candidate, CandidateScores, FinishedSearch, FrontMember, FrontScores, ModelScores, Parents, Retained,
    ScoredBaseline, SearchResult, SequentialRefit, StudyFolder, TestScores, TimeSpent, TrainedScores, check_writable,
    is_free, weight_files, write_whole,
};
pub use scores::{Reference, Scores, SubjectScore, TaskScore};
pub use screening::{ScreenedLayer, Screening, screen};
pub use search::{Event, Incumbent, Search, WorkSettings, Worked, study_in_store};
pub use space::{
    BridgeMethod, DisSettings, DisSpace, FoldSettings, FoldSpace, LfsSettings, LfsSpace, OuterSetting,
    Parameterisation, PruneSettings, PruneSpace, RecipeSpace, ReferencePrune, RemovalOrder, Remove, ScaleSite,
    SpaceKind, SpaceSettings, removal_orders, standard_spaces,
};
pub use study::{
    ApplyChatTemplate, Bos, BridgeSettings, Difference, EvaluationSettings, Identity, Models, RuntimeSettings,
    SearchSettings, Study, StudyFile, TaskSettings,
};
pub use tables::Tables;
pub use tailor_registry as registry;
pub use text::token_text;
