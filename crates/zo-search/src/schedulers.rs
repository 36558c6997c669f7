//! Schedulers: wrappers that ask the points of any strategy on few instances first, and the best of them on more.

mod halving;
pub(crate) mod heats;
mod hyperband;
pub(crate) mod ladder;
mod racing;
mod wrapped;

pub use halving::Halving;
pub use hyperband::Hyperband;
pub use racing::Racing;
