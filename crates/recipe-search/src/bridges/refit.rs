//! The bridges in closed form: `refit`, `replaceme` and `scale`.

use nalgebra::DMatrix;

use super::ridge::{NormalEquations, Solution, TriedRidge, fit};
use super::sums::{FIT, GapSums, HELD_BACK, Sums};
use super::triangle::Triangle;
use super::{DownProjDelta, FitError, Gap, Statistics};

/// A fitted change of a projection, and how the fit went.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedDelta<D = DownProjDelta> {
    /// What is added to the weight.
    pub delta: D,
    /// The ridge that was chosen, in shares of the Gram matrix's mean diagonal.
    pub ridge: f64,
    /// All ridges that were tried; empty if no tokens were held back.
    pub tried: Vec<TriedRidge>,
    /// Whether there are fewer than four calibration tokens for each number that the fit reads of a token: the bridge
    /// may then do little good on other text. More calibration text helps, or larger ridges to choose from.
    pub few_tokens: bool,
}

impl<D> FittedDelta<D> {
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
        let parts = self.of_gap(gap)?.map(NormalEquations::of);
        Ok(self.fitted(fit(self.text(gap.after), parts, ridges, |delta| delta)?))
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
        let parts = self.of_gap(gap)?;
        let (grams, crosses): (Vec<Triangle>, Vec<DMatrix<f64>>) =
            parts.iter().map(|(sums, gap)| (sums.gram.sandwiched(&weight), &weight * &gap.cross)).unzip();
        let equations =
            |part: usize| NormalEquations { gram: &grams[part], cross: &crosses[part], target: parts[part].1.target };
        let (parts, turned) = ([equations(FIT), equations(HELD_BACK)], weight.transpose());
        Ok(self.fitted(fit(self.text(gap.after), parts, ridges, |map| &turned * map)?))
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

    /// A solution as a delta.
    fn fitted(&self, solution: Solution) -> FittedDelta {
        let Solution { values, ridge, tried, few_tokens } = solution;
        // The columns of `ΔWᵀ`, `[intermediate, hidden]`, are the rows of `ΔW`.
        let delta = DownProjDelta { hidden: self.shape().hidden, intermediate: self.shape().intermediate, values };
        FittedDelta { delta, ridge, tried, few_tokens }
    }
}

impl<'a> NormalEquations<'a> {
    /// Those of a layer towards a stream.
    pub(super) fn of((sums, gap): (&'a Sums, &'a GapSums)) -> Self {
        Self { gram: &sums.gram, cross: &gap.cross, target: gap.target }
    }
}
