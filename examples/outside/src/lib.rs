//! What somebody outside of the project can add to it without a change of its crates: one file each, at most 60 lines
//! of code. `tests/one_study.rs` registers all of it and runs a study that names it.
//!
//! Short lines are written without rustfmt, so that a file shows at a glance what its thing needs.

pub mod merge_method;
#[rustfmt::skip]
pub mod metric;
pub mod objective;
#[rustfmt::skip]
pub mod space;
#[rustfmt::skip]
pub mod store;
#[rustfmt::skip]
pub mod strategy;
