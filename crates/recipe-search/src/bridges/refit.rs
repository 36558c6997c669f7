//! The bridges in closed form: `refit`, `replaceme` and `scale`.

use nalgebra::DMatrix;

use super::ridge::{NormalEquations, Solution, TriedRidge, fit};
use super::statistics::{GapSums, Sums};
use super::{DownProjDelta, FitError, Gap, Statistics};

/// A fitted change of a down projection, and how the fit went.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedDelta {
    /// What is added to the weight.
    pub delta: DownProjDelta,
    /// The ridge that was chosen, in shares of the Gram matrix's mean diagonal.
    pub ridge: f64,
    /// All ridges that were tried; empty if no tokens were held back.
    pub tried: Vec<TriedRidge>,
    /// Whether there are fewer than four calibration tokens for each number that the fit reads of a token: the bridge
    /// may then do little good on other text. More calibration text helps, or larger ridges to choose from.
    pub few_tokens: bool,
}

impl FittedDelta {
    /// What the chosen ridge left of the weighted squared error on the tokens held back, in shares of what stands there
    /// without a bridge: above 1 the bridge does harm. [`None`] if no tokens were held back.
    #[must_use]
    pub fn held_back_error(&self) -> Option<f64> {
        self.tried.iter().find(|tried| tried.ridge == self.ridge).map(|tried| tried.held_back_error)
    }
}

/// A fitted output scale, and how the fit went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FittedScale {
    /// The layer's output is multiplied by this.
    pub scale: f64,
    /// What the fit leaves of the weighted squared error, in shares of what stands there without a scale.
    pub error: f64,
}

impl Statistics {
    /// Refits the down projection of the layer before a gap by least squares, so that the stream that leaves the layer
    /// comes near to the one before the next layer: `ΔWᵀ = (G + λ mean(diag G) I)⁻¹ C`, where
    /// `ΔW` minimises `Σ w |X_j - X_{i+1} - ΔW h|²` (and the ridge's `|ΔW|²`).
    ///
    /// `ridges` are the `λ` to choose from, by the error on the tokens held back; 0.001 to 0.1 is usual. The fit is
    /// then made on all tokens. At least as many calibration tokens as inner activations are needed, better four times
    /// as many.
    ///
    /// # Errors
    /// [`FitError::UnknownGap`], [`FitError::Ridges`], [`FitError::NothingHeldBack`], [`FitError::TooFewTokens`] or
    /// [`FitError::Singular`].
    pub fn refit(&self, gap: Gap, ridges: &[f64]) -> Result<FittedDelta, FitError> {
        let equations = |(sums, gap): (&Sums, &GapSums)| NormalEquations {
            gram: sums.gram.clone(),
            cross: gap.cross.clone(),
            target: gap.target,
        };
        let solution = fit(self, gap, self.of_gap(gap)?.map(equations), ridges)?;
        self.fitted(gap, solution, |delta| delta)
    }

    /// ReplaceMe (Shopkhoev et al. 2025): a map `T`, `[hidden, hidden]`, on the output of the MLP before a gap, folded
    /// into its down projection, `W ← Tᵀ W`, so that the delta is `(T - I)ᵀ W`.
    ///
    /// `T` minimises `Σ w |X_j - Y - Tᵀ m|²`, where `m = W h` is the MLP's output and `Y = X_{i+1} - m` the stream
    /// beside it: `T - I = (MᵀM + λ mean(diag MᵀM) I)⁻¹ Mᵀ R`, the ridge pulling towards the identity, with
    /// `MᵀM = W G Wᵀ` and `MᵀR = W C`. A bias stays as it is. It has fewer numbers to fit than
    /// [`Statistics::refit`] and so does with fewer tokens.
    ///
    /// `down_proj` is the weight `W` of layer `gap.after`, `[hidden, intermediate]`, row after row. `ridges` as of
    /// [`Statistics::refit`]. At least as many calibration tokens as numbers of the stream are needed.
    ///
    /// # Errors
    /// As of [`Statistics::refit`], and [`FitError::OtherDownProj`].
    pub fn replaceme(&self, gap: Gap, down_proj: &[f32], ridges: &[f64]) -> Result<FittedDelta, FitError> {
        let (hidden, intermediate) = (self.shape().hidden, self.shape().intermediate);
        if down_proj.len() != hidden * intermediate {
            return Err(FitError::OtherDownProj { found: down_proj.len(), hidden, intermediate });
        }
        let weight = DMatrix::from_row_iterator(hidden, intermediate, down_proj.iter().map(|value| f64::from(*value)));
        let equations = |(sums, gap): (&Sums, &GapSums)| NormalEquations {
            gram: &weight * &sums.gram * weight.transpose(),
            cross: &weight * &gap.cross,
            target: gap.target,
        };
        let solution = fit(self, gap, self.of_gap(gap)?.map(equations), ridges)?;
        self.fitted(gap, solution, |map| weight.transpose() * map)
    }

    /// The output scale `α` of the layer before a gap that brings its stream nearest to the one before the next layer:
    /// `α = Σ w X_{i+1}·X_j / Σ w |X_{i+1}|²`, over all tokens.
    ///
    /// # Errors
    /// [`FitError::UnknownGap`]; [`FitError::Singular`] if the stream is zero everywhere.
    pub fn scale(&self, gap: Gap) -> Result<FittedScale, FitError> {
        let parts = self.of_gap(gap)?;
        let sum = |of: &dyn Fn(&Sums, &GapSums) -> f64| parts.iter().map(|(sums, gap)| of(sums, gap)).sum::<f64>();
        let (stream, along, target) =
            (sum(&|sums, _| sums.stream), sum(&|_, gap| gap.along), sum(&|_, gap| gap.target));
        if stream == 0.0 {
            return Err(FitError::Singular { after: gap.after, ridge: 0.0 });
        }
        let error = if target > 0.0 { 1.0 - along * along / (stream * target) } else { 0.0 };
        Ok(FittedScale { scale: 1.0 + along / stream, error })
    }

    /// A solution as a delta; `to_delta` makes `ΔWᵀ`, `[intermediate, hidden]`, of it.
    fn fitted(
        &self,
        gap: Gap,
        solution: Solution,
        to_delta: impl Fn(DMatrix<f64>) -> DMatrix<f64>,
    ) -> Result<FittedDelta, FitError> {
        let Solution { values, ridge, tried, few_tokens } = solution;
        // nalgebra keeps columns together: the transpose of [hidden, intermediate] row after row.
        let values: Vec<f32> = to_delta(values).iter().map(|value| *value as f32).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(FitError::Singular { after: gap.after, ridge });
        }
        let delta = DownProjDelta { hidden: self.shape().hidden, intermediate: self.shape().intermediate, values };
        Ok(FittedDelta { delta, ridge, tried, few_tokens })
    }
}
