//! The merge methods, one a file or family: mergekit's semantics, then GPTailor's.

mod delta;
mod sparsifier;
mod sphere;

mod arcee_fusion;
mod karcher;
mod linear;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
mod passthrough;
mod ram;
mod sce;
mod slerp;

mod gptailor_average;
mod gptailor_breadcrumbs;
mod gptailor_linear;
mod gptailor_slerp;
mod gptailor_task_arithmetic;
mod gptailor_ties;
mod gptailor_widen;

pub(crate) use arcee_fusion::ArceeFusion;
pub(crate) use delta::Delta;
pub(crate) use gptailor_average::GptailorAverage;
pub(crate) use gptailor_breadcrumbs::GptailorBreadcrumbs;
pub(crate) use gptailor_linear::GptailorLinear;
pub(crate) use gptailor_slerp::GptailorSlerp;
pub(crate) use gptailor_task_arithmetic::GptailorTaskArithmetic;
pub(crate) use gptailor_ties::GptailorTies;
pub(crate) use gptailor_widen::GptailorWiden;
pub(crate) use karcher::Karcher;
pub(crate) use linear::Linear;
pub(crate) use model_stock::ModelStock;
pub(crate) use multislerp::Multislerp;
pub(crate) use nearswap::Nearswap;
pub(crate) use nuslerp::Nuslerp;
pub(crate) use passthrough::Passthrough;
pub(crate) use ram::Ram;
pub(crate) use sce::Sce;
pub(crate) use slerp::Slerp;
