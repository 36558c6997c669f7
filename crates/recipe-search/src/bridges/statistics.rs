//! The sums over calibration tokens that all bridges of a model are computed from.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::FitError;

/// Removed layers between a kept layer and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// The kept layer before the gap, from 0.
    pub after: usize,
    /// How many layers are gone; at least 1. The layer that comes next is `after + 1 + length`; behind the last layer,
    /// it is the final norm.
    pub length: usize,
}

/// How the statistics of a model are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsSettings {
    /// Gaps of 1 to so many layers are known; at least 1.
    pub largest_gap: usize,
    /// Every so-manieth sequence (of 5: the fifth, the tenth, ...) is held back from the fit, to choose the ridge on;
    /// at least 2.
    pub held_back_every: usize,
    /// The most bytes that the statistics may take; what they take is [`StatisticsShape::bytes`].
    pub memory_bytes: u64,
}

impl StatisticsSettings {
    /// The part that a sequence of the calibration text belongs to.
    pub(super) fn part_of(&self, sequence: usize) -> Part {
        if sequence % self.held_back_every == self.held_back_every - 1 { HELD_BACK } else { FIT }
    }
}

impl Default for StatisticsSettings {
    /// Gaps of up to 4 layers, a fifth of the sequences held back, 4 GiB.
    fn default() -> Self {
        Self { largest_gap: 4, held_back_every: 5, memory_bytes: 4 << 30 }
    }
}

/// The sizes that statistics depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsShape {
    /// Layers of the model.
    pub layers: usize,
    /// Inner activations of an MLP (d_ff).
    pub intermediate: usize,
    /// Numbers of a row of the residual stream.
    pub hidden: usize,
    /// Layers of the largest gap.
    pub largest_gap: usize,
}

impl StatisticsShape {
    /// The longest gap that is known behind a layer: a gap ends behind the last layer at the latest.
    #[must_use]
    pub fn longest_gap_after(&self, layer: usize) -> usize {
        self.largest_gap.min(self.layers.saturating_sub(layer + 1))
    }

    /// Bytes of the statistics in memory and on disk: for each layer that a gap may follow and each of the two parts
    /// of the tokens, a Gram matrix `[intermediate, intermediate]`, and for each gap behind the layer a cross product
    /// `[intermediate, hidden]`, all in f64.
    ///
    /// ```
    /// use recipe_search::bridges::StatisticsShape;
    ///
    /// let shape = StatisticsShape { layers: 3, intermediate: 10, hidden: 4, largest_gap: 2 };
    /// // Behind layer 0 two gaps, behind layer 1 one, behind the last layer none.
    /// assert_eq!(shape.bytes(), 2 * 8 * (2 * 10 * 10 + 3 * 10 * 4));
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let (gram, cross) = (self.intermediate as u128, self.hidden as u128);
        self.bytes_of(gram.saturating_mul(self.intermediate as u128), cross.saturating_mul(self.intermediate as u128))
    }

    /// Bytes of the statistics in a file: the matrices, and the numbers that stand beside them.
    pub(super) fn file_bytes(&self) -> u64 {
        self.bytes().saturating_add(self.bytes_of(1, 2))
    }

    /// Bytes of so many numbers for each layer that a gap may follow, and so many for each gap, in both parts.
    fn bytes_of(&self, of_layer: u128, of_gap: u128) -> u64 {
        let layers = if self.largest_gap == 0 { 0 } else { self.layers.saturating_sub(1) as u128 };
        // The last layers have gaps of 1, 2, ... layers behind them, all before them the largest.
        let largest = layers.min(self.largest_gap as u128);
        let gaps = (layers - largest) * largest + largest * (largest + 1) / 2;
        let numbers = layers.saturating_mul(of_layer).saturating_add(gaps.saturating_mul(of_gap));
        numbers.saturating_mul(2 * size_of::<f64>() as u128).try_into().unwrap_or(u64::MAX)
    }

    /// Bytes that are at work beside [`StatisticsShape::bytes`] while batches of so many tokens are walked through: the
    /// weighted inner activations and the streams in f32 of the layers whose gaps have not ended, of the layer at work,
    /// and room for the products' operands.
    #[must_use]
    pub fn batch_bytes(&self, batch_tokens: usize) -> u64 {
        let row = (self.intermediate + self.hidden) as u64;
        let layers = self.largest_gap.saturating_add(2).min(self.layers + 2) as u64;
        row.saturating_mul(layers).saturating_mul(batch_tokens as u64).saturating_mul(size_of::<f32>() as u64)
    }
}

/// What the bridges of one model are computed from: sums over its calibration tokens, for every layer and every gap
/// up to a largest length, from one walk through the model ([`Statistics::gather`]).
///
/// Beside the model's layers (`X_k`: the residual stream before layer `k`; `h`: the inner activations of layer `i`),
/// the sums of layer `i` are
///
/// | sum | size | |
/// |---|---|---|
/// | `G = Σ w h hᵀ` | `[intermediate, intermediate]` | one for all gaps behind the layer |
/// | `C = Σ w h rᵀ`, `r = X_j - X_{i+1}` | `[intermediate, hidden]` | one for each next layer `j` |
/// | `Σ w r·r`, `Σ w X_{i+1}·r` | numbers | one for each next layer `j` |
///
/// each over the tokens of the fit, and over those that are held back. The weight of a token is `w = 1/|X_{i+1}|²`, of
/// the stream as the layer leaves it. A token's error is so counted in shares of its own stream: a massive activation
/// (an attention sink, a hundred times as long as other tokens) takes part as one token among others, where unweighted
/// it would be all that the fit sees. The weight does not depend on the gap, so that one Gram matrix serves all gaps of
/// a layer. A gap over the layer that makes the sink is the exception: before it the sink's stream is short, so its
/// weight is not small, and the sink rules the fit. No bridge mends a model without that layer anyway.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The sizes of the model, and the largest gap.
    pub(super) shape: StatisticsShape,
    /// Sequences of the calibration text, and every how-manieth is held back.
    pub(super) sequences: usize,
    pub(super) held_back_every: usize,
    /// Of each layer that a gap may follow: the sums of the fit, and of what is held back.
    pub(super) layers: Vec<[Sums; 2]>,
}

/// A part of the tokens, by its place.
pub(super) type Part = usize;
/// What is fitted on.
pub(super) const FIT: Part = 0;
/// What is held back from the fit.
pub(super) const HELD_BACK: Part = 1;

/// The sums of one layer over some tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    /// Tokens in them.
    pub tokens: usize,
    /// `Σ w h hᵀ`, `[intermediate, intermediate]`.
    pub gram: DMatrix<f64>,
    /// `Σ w |X_{i+1}|²`: the tokens of a stream that is not zero.
    pub stream: f64,
    /// For gaps of 1, 2, ... layers.
    pub gaps: Vec<GapSums>,
}

/// The sums of one layer and one gap behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GapSums {
    /// `Σ w h rᵀ`, `[intermediate, hidden]`.
    pub cross: DMatrix<f64>,
    /// `Σ w |r|²`
    pub target: f64,
    /// `Σ w X_{i+1}·r`
    pub along: f64,
}

impl Sums {
    /// Those of a layer, of no tokens.
    fn zero(shape: StatisticsShape, layer: usize) -> Self {
        let StatisticsShape { intermediate, hidden, .. } = shape;
        let gap = GapSums { cross: DMatrix::zeros(intermediate, hidden), target: 0.0, along: 0.0 };
        let gaps = vec![gap; shape.longest_gap_after(layer)];
        Self { tokens: 0, gram: DMatrix::zeros(intermediate, intermediate), stream: 0.0, gaps }
    }
}

impl Statistics {
    /// Sums of no tokens.
    pub(super) fn zero(shape: StatisticsShape, held_back_every: usize) -> Self {
        let with_gaps = (0..shape.layers).filter(|layer| shape.longest_gap_after(*layer) > 0);
        let layers = with_gaps.map(|layer| [Sums::zero(shape, layer), Sums::zero(shape, layer)]).collect();
        Self { shape, sequences: 0, held_back_every, layers }
    }

    /// The sizes of the model, and the largest gap.
    #[must_use]
    pub fn shape(&self) -> StatisticsShape {
        self.shape
    }

    /// How many calibration tokens there are: those of the fit, and those held back.
    #[must_use]
    pub fn tokens(&self) -> [usize; 2] {
        self.layers.first().map_or([0, 0], |parts| parts.each_ref().map(|sums| sums.tokens))
    }

    /// The sums that a gap's bridge is fitted on, and those that it is tried on.
    ///
    /// # Errors
    /// [`FitError::UnknownGap`].
    pub(super) fn of_gap(&self, gap: Gap) -> Result<[(&Sums, &GapSums); 2], FitError> {
        let StatisticsShape { layers, largest_gap: largest, .. } = self.shape;
        let unknown = || FitError::UnknownGap { after: gap.after, length: gap.length, layers, largest };
        let parts = self.layers.get(gap.after).ok_or_else(unknown)?;
        let index = gap.length.checked_sub(1).filter(|index| *index < parts[FIT].gaps.len()).ok_or_else(unknown)?;
        Ok(parts.each_ref().map(|sums| (sums, &sums.gaps[index])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_matrices() {
        for (layers, largest_gap) in [(5, 2), (5, 9), (3, 1), (1, 1), (0, 1), (2, 0)] {
            let shape = StatisticsShape { layers, intermediate: 7, hidden: 3, largest_gap };
            let statistics = Statistics::zero(shape, 5);
            let sums = statistics.layers.iter().flatten();
            let numbers = sums.map(|sums| sums.gram.len() + sums.gaps.iter().map(|gap| gap.cross.len()).sum::<usize>());
            assert_eq!(shape.bytes(), 8 * numbers.sum::<usize>() as u64, "{shape:?}");
        }
    }

    /// Llama 3 8B: counted, so that it can be refused.
    #[test]
    fn a_large_model_is_counted() {
        let shape = StatisticsShape { layers: 32, intermediate: 14_336, hidden: 4096, largest_gap: 1 };
        let one = 14_336_u64 * 14_336 + 14_336 * 4096;
        assert_eq!(shape.bytes(), 31 * one * 16);
        let most = usize::MAX;
        let absurd = StatisticsShape { layers: most, intermediate: most, hidden: most, largest_gap: most };
        assert_eq!(absurd.bytes(), u64::MAX, "no overflow");
    }
}
