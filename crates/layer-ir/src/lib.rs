//! What is a model made of? Checkpoints, layer recipes, their cost and their passes, without a tensor library.

mod dtype;

pub use dtype::Dtype;
