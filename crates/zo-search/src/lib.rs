//! Which point next? Ask/tell optimisers over typed, conditional spaces.
//!
//! A [`Space`] says what can vary; an [`Optimizer`] is asked for a [`Trial`], that is a [`Point`] to evaluate, and told its
//! [`Outcome`]; a [`Study`] keeps both in a journal or database that survives `kill -9`. Objectives are minimised.
//! ```
//! # use zo_search::{Evolution, Optimizer, Outcome, Space};
//! let mut search = Evolution::new(Space::new().float("x", -5.0..=5.0), 7);
//! let trial = search.ask()?;
//! search.tell(trial.id, Outcome::score((trial.point.float("x")? - 1.0).powi(2)))?;
//! # Ok::<(), zo_search::Error>(())
//! ```
mod error;

mod point;
mod space;
mod trial;

mod number;
mod outcome;

mod books;
mod initial;
mod ledger;
mod optimizer;
mod order;
mod random;

mod random_search;
mod sobol_search;

mod cma_es;
mod evolution;
mod generations;
mod mu_lambda;
mod nsga2;
pub mod pareto;

mod features;
mod forest;
mod par_ego;
mod smac;
mod tailor_search;
mod tpe;

mod evo_press;
mod halving;
mod heats;
mod hyperband;
mod ladder;
mod racing;
mod wrapped;

mod study;
pub mod testing;

pub use error::Error;

pub use point::{Point, PointKey, Value};
pub use space::{Condition, Dimension, Domain, Space};
pub use trial::{Fidelity, Trial, TrialId};

pub use outcome::{Failure, FailureKind, Outcome};

pub use ledger::{Entry, Ledger};
pub use optimizer::Optimizer;
pub use random::generator;

pub use random_search::RandomSearch;
pub use sobol_search::SobolSearch;

pub use cma_es::CmaEs;
pub use evolution::{Evolution, Survival};
pub use mu_lambda::MuLambda;
pub use nsga2::Nsga2;

pub use par_ego::ParEgo;
pub use smac::Smac;
pub use tailor_search::TailorSearch;
pub use tpe::Tpe;

pub use evo_press::EvoPress;
pub use halving::Halving;
pub use hyperband::Hyperband;
pub use racing::Racing;

pub use study::{Header, History, Injected, Record, Stop, StopReason, Study, WarmStart};
