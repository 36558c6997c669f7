//! What a row of the table of schedulers is: a scheduler by its name, with its parameters.

use tailor_registry::{Entry, Settings};

use crate::row::Row;
use crate::{Error, Optimizer};

/// A scheduler by name: a row of the table. Yours goes in with
/// [`Registry::register`](tailor_registry::Registry::register).
pub trait SchedulerKind: Entry + Send + Sync {
    /// A strategy under the scheduler, with rungs at these fractions of the instances, rising to 1.
    ///
    /// # Errors
    /// [`Error::BadSetting`] and [`Error::BadFidelity`] when the rungs make no sense.
    fn wrap(
        &self,
        inner: Box<dyn Optimizer>,
        rungs: &[f64],
        parameters: &Settings,
    ) -> Result<Box<dyn Optimizer>, Error>;
}

/// What [`SchedulerKind::wrap`] does, for a scheduler of ours.
pub(super) type Wrap = fn(Box<dyn Optimizer>, &[f64], &Settings) -> Result<Box<dyn Optimizer>, Error>;

impl SchedulerKind for Row<Wrap> {
    fn wrap(
        &self,
        inner: Box<dyn Optimizer>,
        rungs: &[f64],
        parameters: &Settings,
    ) -> Result<Box<dyn Optimizer>, Error> {
        (self.functions)(inner, rungs, parameters)
    }
}

/// Of halving, which Hyperband has in brackets.
pub(super) const ETA: &str = "One in so many of a rung reaches the next.";
