//! The merge methods, one a file or family, and their table: mergekit's semantics, then GPTailor's.
//!
//! In the formulas `w_i` are the sources, `w0` the base, `d_i = w_i - w0` the differences, `c_i` a source's `weight`,
//! all flat and of one length; `[condition]` is 1 where it holds and else 0. What is said of an operation's rounding
//! holds under a recipe with `compute: bf16` or `f16`; without one all is in f32. What a method's statistics hold is
//! found in `prepare`, which reads the whole tensors; methods whose statistics are parameters only read none there.

use layer_ir::{MergeSettings, MethodError};
use tailor_registry::Parameter;

use crate::Method;

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

/// All methods, in the order of the documentation. A new one is a file of this folder, its `mod` line above and a row
/// here.
pub(crate) fn standard() -> Vec<Method> {
    vec![
        Method::new(linear::Linear),
        Method::new(passthrough::Passthrough),
        Method::new(slerp::Slerp),
        Method::new(nuslerp::Nuslerp),
        Method::new(multislerp::Multislerp),
        Method::new(karcher::Karcher),
        Method::new(model_stock::ModelStock { by_row: true }),
        Method::new(nearswap::Nearswap),
        Method::new(arcee_fusion::ArceeFusion),
        Method::new(delta::Delta::TASK_ARITHMETIC),
        Method::new(delta::Delta::TIES),
        Method::new(delta::Delta::DARE_LINEAR),
        Method::new(delta::Delta::DARE_TIES),
        Method::new(delta::Delta::BREADCRUMBS),
        Method::new(delta::Delta::BREADCRUMBS_TIES),
        Method::new(delta::Delta::DELLA),
        Method::new(delta::Delta::DELLA_LINEAR),
        Method::new(sce::Sce),
        Method::new(ram::Ram { strengthen: false }),
        Method::new(ram::Ram { strengthen: true }),
        Method::new(gptailor_average::GptailorAverage),
        Method::new(gptailor_linear::GptailorLinear),
        Method::new(gptailor_slerp::GptailorSlerp),
        Method::new(gptailor_task_arithmetic::GptailorTaskArithmetic),
        Method::new(gptailor_ties::GptailorTies),
        Method::new(gptailor_breadcrumbs::GptailorBreadcrumbs),
        Method::new(model_stock::ModelStock { by_row: false }),
        Method::new(gptailor_widen::GptailorWiden),
    ]
}

/// The largest magnitude of a parameter. Products with weights stay far below the largest f32.
const LARGEST: f64 = 1e6;

/// Of each source; it must be given.
const WEIGHT: Parameter = Parameter::number("weight", -LARGEST, LARGEST, "What the source counts.");
/// Of GPTailor's methods; it must be given.
const COEFFICIENT: Parameter =
    Parameter::number("coefficient", -LARGEST, LARGEST, "Factor of what is added to the base.");
/// Accepted so that mergekit's files are.
const INT8_MASK: Parameter = Parameter::flag("int8_mask", false, "Of mergekit's memory; changes no number.");

/// Weights divided by their sum; `unless` is the setting that leaves the division out.
fn shares(settings: &MergeSettings<'_>, weights: Vec<f64>, unless: &'static str) -> Result<Vec<f64>, MethodError> {
    let total: f64 = weights.iter().sum();
    if !are_shares(weights.iter().copied(), total) {
        return Err(settings.zero_weights(unless));
    }
    Ok(weights.into_iter().map(|weight| weight / total).collect())
}

/// Whether weights can be divided by their sum: it is not 0, nor so small beside one of them that the quotient would
/// overflow.
fn are_shares(mut weights: impl Iterator<Item = f64>, total: f64) -> bool {
    total != 0.0 && weights.all(|weight| (weight / total).abs() <= 1e12)
}
