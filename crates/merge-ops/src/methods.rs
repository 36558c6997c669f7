//! The merge methods, one a file: mergekit's semantics, then GPTailor's.

mod delta;
mod sphere;

mod karcher;
mod linear;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
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
pub(crate) use karcher::Karcher;
pub(crate) use linear::Linear;
pub(crate) use model_stock::ModelStock;
pub(crate) use multislerp::Multislerp;
pub(crate) use nearswap::Nearswap;
pub(crate) use nuslerp::Nuslerp;
pub(crate) use passthrough::Passthrough;
pub(crate) use slerp::Slerp;
pub(crate) use task_arithmetic::TaskArithmetic;
pub(crate) use ties::Ties;
