//! Least squares with a ridge, from sums.

use nalgebra::{Cholesky, DMatrix, DMatrixView, DMatrixViewMut};
use rayon::prelude::*;

use super::statistics::{FIT, HELD_BACK};
use super::{FitError, Gap, Statistics};

/// Columns that a thread solves at a time.
const COLUMNS: usize = 32;

/// From so many tokens for each input on, a fit is good (8,000 tokens on 1,536 inputs gave back half of what a cut took
/// from a real model, 1,000 next to nothing).
const ENOUGH: usize = 4;

/// The sums of a least-squares problem: minimise `Σ w |r - Dᵀ h|²` over `D`, `[inputs, outputs]`.
#[derive(Debug)]
pub(super) struct NormalEquations {
    /// `Σ w h hᵀ`, `[inputs, inputs]`.
    pub gram: DMatrix<f64>,
    /// `Σ w h rᵀ`, `[inputs, outputs]`.
    pub cross: DMatrix<f64>,
    /// `Σ w |r|²`
    pub target: f64,
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
    /// `[inputs, outputs]`
    pub values: DMatrix<f64>,
    pub ridge: f64,
    pub tried: Vec<TriedRidge>,
    pub few_tokens: bool,
}

/// Chooses among the ridges, each tried on the tokens held back after a fit on the others, and solves for all tokens
/// with the best one; of equally good ones with the first.
///
/// # Errors
/// [`FitError::Ridges`], [`FitError::NothingHeldBack`], [`FitError::TooFewTokens`] or [`FitError::Singular`].
pub(super) fn fit(
    statistics: &Statistics,
    gap: Gap,
    parts: [NormalEquations; 2],
    ridges: &[f64],
) -> Result<Solution, FitError> {
    let [fitted_tokens, held_back_tokens] = statistics.tokens();
    let (tokens, inputs) = (fitted_tokens + held_back_tokens, parts[FIT].gram.nrows());
    if ridges.is_empty() || !ridges.iter().all(|ridge| ridge.is_finite() && *ridge > 0.0) {
        return Err(FitError::Ridges { found: ridges.to_vec() });
    }
    if tokens < inputs {
        return Err(FitError::TooFewTokens { tokens, inputs, enough: ENOUGH * inputs });
    }
    if held_back_tokens == 0 && ridges.len() > 1 {
        let (sequences, every) = (statistics.sequences, statistics.held_back_every);
        return Err(FitError::NothingHeldBack { sequences, every, ridges: ridges.len() });
    }
    let solve = |equations: &NormalEquations, ridge: f64| {
        equations.solve(ridge).ok_or(FitError::Singular { after: gap.after, ridge })
    };
    let mut tried = Vec::new();
    for &ridge in ridges.iter().filter(|_| held_back_tokens > 0) {
        let held_back_error = parts[HELD_BACK].error(&solve(&parts[FIT], ridge)?);
        tried.push(TriedRidge { ridge, held_back_error });
    }
    let best = tried.iter().min_by(|a, b| a.held_back_error.total_cmp(&b.held_back_error));
    let ridge = best.map_or(ridges[0], |tried| tried.ridge);
    let [fitted, held_back] = parts;
    let values = solve(&fitted.and(held_back), ridge)?;
    Ok(Solution { values, ridge, tried, few_tokens: tokens < ENOUGH * inputs })
}

impl NormalEquations {
    /// The sums over the tokens of both.
    fn and(mut self, other: Self) -> Self {
        self.gram += other.gram;
        self.cross += other.cross;
        Self { target: self.target + other.target, ..self }
    }

    /// `(G + ridge mean(diag G) I)⁻¹ C`, `[inputs, outputs]`; `None` if there is no such matrix in f64.
    fn solve(&self, ridge: f64) -> Option<DMatrix<f64>> {
        let inputs = self.gram.nrows();
        let mut with_ridge = self.gram.clone();
        let added = ridge * self.gram.trace() / inputs as f64;
        (0..inputs).for_each(|place| with_ridge[(place, place)] += added);
        let factors = Cholesky::new(with_ridge)?;
        let mut solution = self.cross.clone();
        solution.as_mut_slice().par_chunks_mut(inputs * COLUMNS).for_each(|columns| {
            let count = columns.len() / inputs;
            factors.solve_mut(&mut DMatrixViewMut::from_slice(columns, inputs, count));
        });
        solution.iter().all(|value| value.is_finite()).then_some(solution)
    }

    /// `Σ w |r - Dᵀ h|² / Σ w |r|²` of some `D`, `[inputs, outputs]`: with the sums, the numerator is
    /// `Σ w |r|² - 2 ⟨D, C⟩ + ⟨D, G D⟩`. 0 where nothing is to be mended.
    fn error(&self, solution: &DMatrix<f64>) -> f64 {
        let inputs = self.gram.nrows();
        let columns =
            solution.as_slice().par_chunks(inputs * COLUMNS).zip(self.cross.as_slice().par_chunks(inputs * COLUMNS));
        let parts: Vec<f64> = columns
            .map(|(solution, cross)| {
                let columns = solution.len() / inputs;
                let solution = DMatrixView::from_slice(solution, inputs, columns);
                let cross = DMatrixView::from_slice(cross, inputs, columns);
                (&self.gram * solution - cross * 2.0).dot(&solution)
            })
            .collect();
        if self.target > 0.0 { 1.0 + parts.iter().sum::<f64>() / self.target } else { 0.0 }
    }
}
