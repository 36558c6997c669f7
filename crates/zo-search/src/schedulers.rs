//! Schedulers: wrappers that ask the points of any strategy on few instances first, and the best of them on more.

pub(crate) mod brackets;
mod halving;
mod hyperband;
mod racing;
pub(crate) mod rung_table;
mod scheduled;
mod table;

pub use halving::{Halving, HalvingRule};
pub use hyperband::{Hyperband, HyperbandRule};
pub use racing::{Racing, RacingRule};
pub use rung_table::RungTable;
pub use scheduled::{PromotionRule, Scheduled};
pub use table::{SchedulerKind, schedulers};
