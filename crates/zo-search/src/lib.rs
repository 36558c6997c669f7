//! Which point next? Ask/tell optimisers over typed, conditional spaces.
//!
//! A [`Space`] says what can vary; an [`Optimizer`] is asked for a [`Trial`], that is a [`Point`] to evaluate, and told its
//! [`Outcome`]; a [`Study`] keeps both in a journal that survives `kill -9`. Objectives are minimised.
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
mod ledger;
mod optimizer;
mod random;

mod evolution;
mod halving;
mod initial;
mod random_search;

mod study;
pub mod testing;

pub use error::Error;
pub use evolution::{Evolution, Survival};
pub use halving::Halving;
pub use ledger::{Entry, Ledger};
pub use optimizer::Optimizer;
pub use outcome::{Failure, FailureKind, Outcome};
pub use point::{Point, PointKey, Value};
pub use random::generator;
pub use random_search::RandomSearch;
pub use space::{Condition, Dimension, Domain, Space};
pub use study::{Header, History, Record, Study};
pub use trial::{Fidelity, Trial, TrialId};
