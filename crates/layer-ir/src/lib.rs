//! What is a model made of? Checkpoints, layer recipes, their cost and their passes, without a tensor library.

mod dtype;
mod rope;

pub use dtype::Dtype;
pub use rope::{Rope, RopeKind, Yarn};
