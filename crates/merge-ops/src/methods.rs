//! The merge methods, one a file: mergekit's semantics, then GPTailor's.

mod delta;
mod sphere;

mod linear;
mod passthrough;
mod slerp;
mod task_arithmetic;
mod ties;

mod gptailor_linear;
mod gptailor_slerp;
mod gptailor_task_arithmetic;
mod gptailor_ties;

pub(crate) use gptailor_linear::GptailorLinear;
pub(crate) use gptailor_slerp::GptailorSlerp;
pub(crate) use gptailor_task_arithmetic::GptailorTaskArithmetic;
pub(crate) use gptailor_ties::GptailorTies;
pub(crate) use linear::Linear;
pub(crate) use passthrough::Passthrough;
pub(crate) use slerp::Slerp;
pub(crate) use task_arithmetic::TaskArithmetic;
pub(crate) use ties::Ties;

use burn::tensor::Tensor;

use crate::{Error, Piece};

/// The sum of tensors in their order, in f32, rounded once.
fn sum(piece: &Piece<'_>, tensors: impl IntoIterator<Item = Tensor<1>>) -> Result<Tensor<1>, Error> {
    let sum = tensors.into_iter().reduce(|sum, next| sum + next).ok_or_else(|| no_sources(piece))?;
    Ok(piece.round(sum))
}

fn no_sources(piece: &Piece<'_>) -> Error {
    let expected = "at least 1 source".to_owned();
    Error::SourceCount { method: piece.settings.method.to_owned(), found: 0, expected }
}
