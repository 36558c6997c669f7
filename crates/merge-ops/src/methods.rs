//! The merge methods, one a file or family: mergekit's semantics, then GPTailor's.

use layer_ir::{MergeSettings, MethodError};
use tailor_registry::Parameter;

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

/// The largest magnitude of a parameter. Products with weights stay far below the largest f32.
const LARGEST: f64 = 1e6;

const WEIGHT: Parameter = Parameter::number("weight", -LARGEST, LARGEST, "What the source counts.");
const COEFFICIENT: Parameter =
    Parameter::number("coefficient", -LARGEST, LARGEST, "Factor of what is added to the base.");
const INT8_MASK: Parameter = Parameter::flag("int8_mask", false, "Of mergekit's memory; changes no number.");

/// Weights divided by their sum; `unless` is the setting that leaves the division out.
fn shares(settings: &MergeSettings<'_>, weights: Vec<f64>, unless: &'static str) -> Result<Vec<f64>, MethodError> {
    let total: f64 = weights.iter().sum();
    if !are_shares(weights.iter().copied(), total) {
        return Err(settings.zero_weights(unless));
    }
    Ok(weights.into_iter().map(|weight| weight / total).collect())
}

/// Whether weights can be divided by their sum: it is not 0, nor so small beside one of them that the quotient would overflow.
fn are_shares(mut weights: impl Iterator<Item = f64>, total: f64) -> bool {
    total != 0.0 && weights.all(|weight| (weight / total).abs() <= 1e12)
}
