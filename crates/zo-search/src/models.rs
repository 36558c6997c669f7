//! Models that strategies learn from results, and the numbers that these see.

pub(crate) mod features;
pub(crate) mod forest;
pub(crate) mod normal;
