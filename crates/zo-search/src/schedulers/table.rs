//! The table of schedulers: each by its name, with its parameters.

use tailor_registry::{Entry, Parameter, Registry, Settings};

use super::{Halving, Hyperband, Racing};
use crate::row::Row;
use crate::{Error, Optimizer};

/// A scheduler by name: a row of the table. Yours goes in with [`Registry::register`].
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

/// Every scheduler of this crate by name; `none` leaves the strategy as it is.
///
/// ```
/// use zo_search::{RandomSearch, Space, schedulers};
///
/// let table = schedulers();
/// let (kind, parameters) = table.choose(&"halving".into())?;
/// let inner = Box::new(RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7));
/// let mut search = kind.wrap(inner, &[0.25, 1.0], &parameters)?;
/// assert_eq!(search.ask()?.fidelity.fraction(), 0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn schedulers() -> Registry<dyn SchedulerKind> {
    Registry::with_rows("scheduler", ROWS.into_iter().map(|row| Box::new(row) as Box<dyn SchedulerKind>))
}

/// What [`SchedulerKind::wrap`] does, for a scheduler of ours.
type Wrap = fn(Box<dyn Optimizer>, &[f64], &Settings) -> Result<Box<dyn Optimizer>, Error>;

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

const CHANCE: Parameter = Parameter::number(
    "chance",
    0.0,
    1.0,
    "A point goes on while its chance to beat the incumbent is at least this, below 1.",
)
.with_default_number(0.2);
const ETA: &str = "One in so many of a rung reaches the next.";

/// All schedulers: a new one is a file and a row here.
const ROWS: [Row<Wrap>; 4] = [
    Row::new(
        "racing",
        "A point stops when it is surely worse than the incumbent on the instances seen so far.",
        &[CHANCE],
        |inner, rungs, own| Ok(Box::new(Racing::new(inner, own.number("chance")?, rungs)?)),
    ),
    Row::new(
        "halving",
        "Asynchronous successive halving: the best of each rung go on.",
        &[Parameter::integer("eta", 2, i64::MAX, ETA).with_default_integer(3)],
        |inner, rungs, own| Ok(Box::new(Halving::new(inner, own.count("eta")?, rungs)?)),
    ),
    Row::new(
        "hyperband",
        "Successive halving in brackets that begin at different rungs.",
        &[Parameter::integer("eta", 2, 10, ETA).with_default_integer(3)],
        |inner, rungs, own| Ok(Box::new(Hyperband::new(inner, own.count("eta")?, rungs)?)),
    ),
    Row::new("none", "Every point is asked on all instances.", &[], |inner, _, _| Ok(inner)),
];
