//! Least squares with a ridge, from sums.

use nalgebra::{DMatrix, DMatrixView};
use rayon::prelude::*;

use super::cholesky::Factors;
use super::memory::COLUMNS;
use super::sums::{FIT, HELD_BACK};
use super::triangle::Triangle;
use super::{FitError, Statistics};

/// From so many tokens for each input on, a fit is good (8,000 tokens on 1,536 inputs gave back half of what a cut took
/// from a real model, 1,000 next to nothing).
const ENOUGH: usize = 4;

/// The sums of a least-squares problem: minimise `Σ w |r - Dᵀ h|²` over `D`, `[inputs, outputs]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormalEquations<'a> {
    /// `Σ w h hᵀ`, `[inputs, inputs]`.
    pub gram: &'a Triangle,
    /// `Σ w h rᵀ`, `[inputs, outputs]`.
    pub cross: &'a DMatrix<f64>,
    /// `Σ w |r|²`
    pub target: f64,
}

/// What the sums are of, for checks and errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct FitText {
    /// Of the fit, and held back.
    pub tokens: [usize; 2],
    /// Sequences, and every how-manieth is held back.
    pub sequences: usize,
    pub held_back_every: usize,
    /// The layer whose projection is fitted.
    pub after: usize,
}

impl Statistics {
    /// What the sums of a layer are of.
    pub(super) fn text(&self, after: usize) -> FitText {
        let (tokens, sequences, held_back_every) = (self.tokens(), self.sequences, self.held_back_every);
        FitText { tokens, sequences, held_back_every, after }
    }
}

/// A ridge that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriedRidge {
    /// In shares of the Gram matrix's mean diagonal.
    pub ridge: f64,
    /// What the fit leaves of the weighted squared error of the tokens held back, in shares of what stands there
    /// without a bridge: `Σ w |r - ΔW h|² / Σ w |r|²`. Above 1, the bridge does harm.
    pub held_back_error: f64,
}

/// A solution on all tokens, with the ridge that was best on those held back.
#[derive(Debug)]
pub(super) struct Solution {
    /// What was made of it, column after column.
    pub values: Vec<f32>,
    pub ridge: f64,
    pub tried: Vec<TriedRidge>,
    pub few_tokens: bool,
}

/// Chooses among the ridges, each tried on the tokens held back after a fit on the others, and solves for all tokens
/// with the best one; of equally good ones with the first. `finish` makes of some columns of `D` those of the result.
///
/// # Errors
/// [`FitError::Ridges`], [`FitError::NothingHeldBack`], [`FitError::TooFewTokens`] or [`FitError::Singular`].
pub(super) fn fit(
    text: FitText,
    parts: [NormalEquations<'_>; 2],
    ridges: &[f64],
    finish: impl Fn(DMatrix<f64>) -> DMatrix<f64> + Sync,
) -> Result<Solution, FitError> {
    let [fitted_tokens, held_back_tokens] = text.tokens;
    let (tokens, inputs, after) = (fitted_tokens + held_back_tokens, parts[FIT].gram.size(), text.after);
    if ridges.is_empty() || !ridges.iter().all(|ridge| ridge.is_finite() && *ridge > 0.0) {
        return Err(FitError::Ridges { found: ridges.to_vec() });
    }
    if tokens < inputs {
        return Err(FitError::TooFewTokens { tokens, inputs, enough: ENOUGH * inputs });
    }
    if held_back_tokens == 0 && ridges.len() > 1 {
        let FitText { sequences, held_back_every: every, .. } = text;
        return Err(FitError::NothingHeldBack { sequences, every, ridges: ridges.len() });
    }
    let singular = |ridge| FitError::Singular { after, ridge };
    let mut tried = Vec::new();
    for &ridge in ridges.iter().filter(|_| held_back_tokens > 0) {
        let factors = factors(parts[FIT].gram.clone(), ridge).ok_or_else(|| singular(ridge))?;
        let held_back_error = held_back_error(&factors, &parts).ok_or_else(|| singular(ridge))?;
        tried.push(TriedRidge { ridge, held_back_error });
    }
    let best = tried.iter().min_by(|a, b| a.held_back_error.total_cmp(&b.held_back_error));
    let ridge = best.map_or(ridges[0], |tried| tried.ridge);
    let mut gram = parts[FIT].gram.clone();
    gram.add(parts[HELD_BACK].gram);
    let factors = factors(gram, ridge).ok_or_else(|| singular(ridge))?;
    let values = solution(&factors, &parts, finish).ok_or_else(|| singular(ridge))?;
    Ok(Solution { values, ridge, tried, few_tokens: tokens < ENOUGH * inputs })
}

/// Those of `G + ridge mean(diag G) I`; `None` if it is not positive definite.
fn factors(mut gram: Triangle, ridge: f64) -> Option<Factors> {
    let added = ridge * gram.mean_diagonal();
    gram.add_to_diagonal(added);
    Factors::of(gram)
}

/// What a fit on the first part leaves of the second part's error, with `D = (G + λ)⁻¹ C`:
/// `Σ w |r - Dᵀ h|² / Σ w |r|²`, whose numerator is by the sums `Σ w |r|² - 2 ⟨D, C⟩ + ⟨D, G D⟩`. 0 where nothing is to
/// be mended; `None` if `D` is not finite.
fn held_back_error(factors: &Factors, [fitted, held_back]: &[NormalEquations<'_>; 2]) -> Option<f64> {
    let inputs = fitted.gram.size();
    let columns = fitted.cross.as_slice().par_chunks(inputs * COLUMNS);
    let crosses = held_back.cross.as_slice().par_chunks(inputs * COLUMNS);
    let parts = columns.zip(crosses).map(|(columns, cross)| {
        let mut d = columns.to_vec();
        factors.solve(&mut d);
        let (d, cross) =
            [&d, cross].map(|some: &[f64]| DMatrixView::from_slice(some, inputs, some.len() / inputs)).into();
        held_back.gram.quadratic(d) - 2.0 * cross.dot(&d)
    });
    let parts: Vec<f64> = parts.collect();
    let sum = parts.iter().sum::<f64>();
    let error = if held_back.target > 0.0 { 1.0 + sum / held_back.target } else { 0.0 };
    sum.is_finite().then_some(error)
}

/// `D = (G + λ)⁻¹ C` of both parts, and what `finish` makes of it, some columns at a time; `None` if it is not finite
/// in f32.
fn solution(
    factors: &Factors,
    [fitted, held_back]: &[NormalEquations<'_>; 2],
    finish: impl Fn(DMatrix<f64>) -> DMatrix<f64> + Sync,
) -> Option<Vec<f32>> {
    let inputs = fitted.gram.size();
    let columns = fitted.cross.as_slice().par_chunks(inputs * COLUMNS);
    let others = held_back.cross.as_slice().par_chunks(inputs * COLUMNS);
    let solved = columns.zip(others).map(|(columns, others)| {
        let mut d: Vec<f64> = columns.iter().zip(others).map(|(one, other)| one + other).collect();
        factors.solve(&mut d);
        let count = d.len() / inputs;
        finish(DMatrix::from_vec(inputs, count, d)).iter().map(|value| *value as f32).collect::<Vec<f32>>()
    });
    let values = solved.collect::<Vec<_>>().concat();
    values.iter().all(|value| value.is_finite()).then_some(values)
}
