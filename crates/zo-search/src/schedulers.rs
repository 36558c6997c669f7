//! Schedulers: wrappers that ask the points of any strategy on few instances first, and the best of them on more.

pub(crate) mod brackets;
mod halving;
mod hyperband;
mod kind;
mod racing;
pub(crate) mod rung_table;
mod scheduled;

pub use halving::{Halving, HalvingRule};
pub use hyperband::{Hyperband, HyperbandRule};
pub use kind::SchedulerKind;
pub use racing::{Racing, RacingRule};
pub use rung_table::RungTable;
pub use scheduled::{PromotionRule, Scheduled};

use tailor_registry::Registry;

use crate::row::Row;
use kind::Wrap;

/// All schedulers. A new one is a file of this folder with its row, and its lines here.
const ROWS: [Row<Wrap>; 4] = [
    racing::ROW,
    halving::ROW,
    hyperband::ROW,
    Row::new("none", "Every point is asked on all instances.", &[], |inner, _, _| Ok(inner)),
];

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
