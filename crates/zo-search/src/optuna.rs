//! A study as one of Optuna's: for `optuna-dashboard` and Optuna's plots.
//!
//! [`OptunaStudy::of`] turns a [`History`] into what Optuna would know of it, plain data; [`OptunaStudy::write`] brings
//! an SQLite or PostgreSQL database of Optuna's schema (version 12, of Optuna 3.2 to 5) up to date with it, in one
//! transaction.
//! ```
//! # use zo_search::{Header, Outcome, RandomSearch, Space, Study, optuna::{OptunaStudy, TrialState}};
//! # let mut study = Study::in_memory(
//! #     Header::new("example", 7), RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7))?;
//! let first = study.ask()?;
//! study.tell(first.id, Outcome::score(0.5))?;
//! let theirs = OptunaStudy::of(study.history());
//! assert_eq!((theirs.trials[0].state, theirs.trials[0].values[0]), (TrialState::Complete, 0.5));
//! assert_eq!(theirs.trials[0].parameters[0].name, "x");
//! # #[cfg(feature = "sqlite")] {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("study.db");
//! theirs.write(&path)?; // and again later, with more trials
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! # What becomes of what
//!
//! **Trials.** Each trial is one of Optuna's, in the order of the asks, so that Optuna's number is our
//! [`TrialId`](crate::TrialId). Trials known from a warm start come first and shift the numbers; the user attribute
//! `trial` has ours in any case. A point that a scheduler asks again on more instances is a new trial there too, and
//! does not change the earlier one: Optuna, its caches and the dashboard's page never read a finished trial again, and
//! would not show a promotion that changes one. The promoted trial has the intermediate values of the lower rungs, so
//! that the plot of intermediate values shows the whole way of a point; the attribute `promoted_from` has the number
//! of the earlier trial.
//!
//! | here | state | values |
//! |---|---|---|
//! | pending | `RUNNING` | none |
//! | a result on all instances | `COMPLETE` | the objectives |
//! | a result on a part of the instances | `PRUNED`, promoted or not | the objectives on that part |
//! | a failure; NaN or minus infinity; another number of objectives | `FAIL`, attribute `failure` | none |
//!
//! An objective of plus infinity stays (`INF_POS`). Optuna's best trial is the incumbent, unless what was known from a
//! warm start is better, or an outcome has a [`lead`](crate::Outcome::lead): that is no objective, but an attribute.
//!
//! **Values.** All objectives are minimised. An intermediate value is what single-objective strategies go by, at the
//! step `1000 * fraction of the instances`, rounded; trials that never had a rung or a fraction have none. A
//! [`violation`](crate::Outcome::violation) other than 0 is the system attribute `constraints`, as of Optuna's
//! `constraints_func`: above 0, the trial is infeasible.
//!
//! **Parameters.** One that is inactive in a trial is absent there.
//!
//! | domain | parameters | distribution |
//! |---|---|---|
//! | float, log-float | `x` | `FloatDistribution` |
//! | integer | `x` | `IntDistribution`; beyond 2^53 Optuna's column, a double, loses digits |
//! | categorical | `x` | `CategoricalDistribution` of the names |
//! | mask | `x[0]`, `x[1]`, ...: whether the item is set | `CategoricalDistribution` of `false`, `true` |
//! | subset | `x[i]` for each item that is not frozen: whether it is chosen | the same |
//! | permutation | `x[i]` for each item: its place, from 0 | `IntDistribution` |
//!
//! So the importance of a single item can be computed. The whole value of a mask (its set items), subset or permutation
//! is a user attribute under the name of the dimension.
//!
//! **Attributes of trials.** `trial`, our number; `origin`; `fidelity`, where below 1; `promoted_from`; `cost`;
//! `lead`; `failure`; `objectives`, where they are no result; `retried`, the messages of earlier attempts;
//! `warm_start_from`, the other study and its trial; and [`extra`](crate::Outcome::extra), a field of an object within
//! it as `outer.inner`. The scores of single [`instances`](crate::Outcome::instances) stay in the journal.
//!
//! **Times** are local ones without a zone, as Optuna has them; in PostgreSQL, of the session's time zone. A trial
//! begins when it is asked and completes when it is told; what was known before has the time of the first ask.

mod attributes;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod database;
mod distribution;
mod identity;
mod parameters;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod python_json;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows;
mod trial;

#[cfg_attr(feature = "postgres", path = "optuna/postgres_server.rs")]
#[cfg_attr(not(feature = "postgres"), path = "optuna/no_postgres.rs")]
mod postgres;
#[cfg_attr(feature = "sqlite", path = "optuna/sqlite_file.rs")]
#[cfg_attr(not(feature = "sqlite"), path = "optuna/no_sqlite.rs")]
mod sqlite;

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value};

pub use distribution::Distribution;
pub use parameters::Parameter;
pub use trial::{OptunaTrial, TrialState};

use crate::sharing::postgres::url;
use crate::{Error, History};

/// What Optuna would know of a study. All objectives are minimised.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OptunaStudy {
    /// The study's name.
    pub name: String,
    /// How many objectives there are: those of the first result; 1 while there is none.
    pub objectives: usize,
    /// What anybody may read: the strategy and its seed.
    pub user_attributes: Map<String, Value>,
    /// What Optuna and this module go by.
    pub system_attributes: Map<String, Value>,
    /// By number.
    pub trials: Vec<OptunaTrial>,
}

impl OptunaStudy {
    /// What Optuna would know of what this history says.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let (header, objectives) = (history.header(), trial::objectives(history));
        let user = [("strategy", header.strategy()), ("seed", header.seed())];
        let identity = Value::from(identity::of(header));
        Self {
            name: header.name().to_owned(),
            objectives,
            user_attributes: user.map(|(key, text)| (key.to_owned(), text.into())).into_iter().collect(),
            system_attributes: [(identity::KEY.to_owned(), identity)].into_iter().collect(),
            trials: trial::trials(history, objectives),
        }
    }

    /// With names of the objectives, which Optuna's plots show. Another number of names than of objectives says
    /// nothing and is left out.
    #[must_use]
    pub fn with_objective_names(mut self, names: Vec<String>) -> Self {
        if names.len() == self.objectives {
            self.system_attributes.insert("study:metric_names".to_owned(), names.into());
        }
        self
    }

    /// Brings a database of Optuna's up to date with this: trials that are new or have changed are written in one
    /// transaction, so that a reader sees all or nothing. Makes the file if there is none. Other studies in it stay as
    /// they are, and so do notes that the dashboard wrote.
    ///
    /// A location is the path of an SQLite file, or the URL of a PostgreSQL database (as of
    /// [`PostgresStore`](crate::sharing::PostgresStore); the feature `postgres`), in which it is the tables of the
    /// schema `public`. A file is changed in place, not replaced: a dashboard that has it open goes on with it, and so
    /// it sees the new trials.
    ///
    /// # Errors
    /// [`Error::NotOptuna`] when the file is something else; [`Error::OptunaVersion`]; [`Error::OptunaName`] when
    /// another study there has this one's name; [`Error::OptunaTrials`] when somebody else added trials to this study;
    /// [`Error::WithoutFeature`] without the feature `sqlite` or `postgres`; [`Error::NoFolder`], [`Error::Io`]. The
    /// database is as it was then.
    pub fn write(&self, location: impl AsRef<OsStr>) -> Result<(), Error> {
        match url(location.as_ref()) {
            Some(url) => postgres::write(self, url),
            None => sqlite::write(self, Path::new(&location)),
        }
    }
}

/// Whether [`OptunaStudy::write`] could write to a location, as far as that can be said before there is a study:
/// Optuna's database stands there, or nothing in a folder that exists. Changes nothing.
///
/// # Errors
/// [`Error::NotOptuna`], [`Error::OptunaVersion`], [`Error::WithoutFeature`], [`Error::NoFolder`], [`Error::Io`].
pub fn check(location: impl AsRef<OsStr>) -> Result<(), Error> {
    match url(location.as_ref()) {
        Some(url) => postgres::check(url),
        None => sqlite::check(Path::new(&location)),
    }
}
