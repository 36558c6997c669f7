//! Strategies against each other on the same problems: ours, and those of SMAC3, Optuna and pycma over a bridge.
//!
//! Everybody gets the same space, seeds, budget and, where it takes some, initial points; an evaluation on all
//! instances costs 1, one on a fraction of them that fraction.
//!
//! A [`Problem`] is what is searched, a [`Contender`] a strategy by name; [`run()`] lets one search the other and gives
//! the [`Run`] that is kept in a file of results; [`summary()`] makes tables of many.

mod bridged;
mod contender;
mod problem;
mod recipe;
mod recipe_table;
mod run;
mod summary;
mod synthetic;

pub use bridged::{Bridge, Bridged};
pub use contender::{Contender, contenders};
pub use problem::{Evaluated, Problem, Start, problem, problem_names};
pub use recipe::RecipeProblem;
pub use recipe_table::{RecipeTable, Row};
pub use run::{CHECKPOINTS, Results, Run, Step, run};
pub use summary::summary;
