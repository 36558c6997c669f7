//! Which point next? Ask/tell optimisers over typed, conditional spaces.
//!
//! A [`Space`] says what can vary; an [`Optimizer`] is asked for a [`Trial`], that is a [`Point`] to evaluate, and
//! told its [`Outcome`]; a [`Study`] keeps both in a journal or database that survives `kill -9`. Objectives are
//! minimised.
//! ```
//! # use zo_search::{Evolution, Optimizer, Outcome, Space};
//! let mut search = Evolution::new(Space::new().float("x", -5.0..=5.0), 7);
//! let trial = search.ask()?;
//! search.tell(trial.id, Outcome::score((trial.point.float("x")? - 1.0).powi(2)))?;
//! # Ok::<(), zo_search::Error>(())
//! ```
mod error;
mod random;
mod row;

mod space;

mod optimizer;
pub mod pareto;

mod models;
mod strategies;

mod schedulers;

mod study;

pub mod sharing;

pub mod optuna;

pub mod testing;

pub use error::Error;
pub use random::generator;

pub use space::{Condition, Constraint, Dimension, Domain, Point, PointKey, Space, Value};

pub use optimizer::{
    Entry, Failure, FailureKind, Fidelity, Ledger, Optimizer, Origin, Outcome, Propose, Rung, StrategyState, Trial,
    TrialId,
};

pub use strategies::*;

pub use schedulers::*;

pub use study::storage;
pub use study::{Follower, Header, History, Injected, Record, Stop, StopReason, Study, WarmStart};
