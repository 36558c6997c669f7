//! What statistics of bridges and their fits take of memory.

use serde::{Deserialize, Serialize};

use super::Gap;
use super::gaps::GapSet;
use super::triangle::Triangle;

/// Columns of a solution that a thread computes at a time.
pub(super) const COLUMNS: usize = 32;

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

    /// Bytes of the statistics of all gaps in memory and on disk: for each layer that a gap may follow and each of the
    /// two parts of the tokens, the lower triangle of a Gram matrix `[intermediate, intermediate]`, and for each gap
    /// behind the layer a cross product `[intermediate, hidden]`, all in f64.
    ///
    /// ```
    /// use recipe_search::bridges::StatisticsShape;
    ///
    /// let shape = StatisticsShape { layers: 3, intermediate: 10, hidden: 4, largest_gap: 2 };
    /// // Behind layer 0 two gaps, behind layer 1 one, behind the last layer none. (So small a triangle is kept whole.)
    /// assert_eq!(shape.bytes(), 2 * 8 * (2 * 10 * 10 + 3 * 10 * 4));
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let layers = if self.largest_gap == 0 { 0 } else { self.layers.saturating_sub(1) as u128 };
        // The last layers have gaps of 1, 2, ... layers behind them, all before them the largest.
        let largest = layers.min(self.largest_gap as u128);
        let gaps = ((layers - largest).saturating_mul(largest)).saturating_add(largest * (largest + 1) / 2);
        self.bytes_of(layers, gaps)
    }

    /// Bytes of the statistics of some gaps, as of [`StatisticsShape::bytes`].
    #[must_use]
    pub fn bytes_of_gaps(&self, gaps: &[Gap]) -> u64 {
        let gaps = GapSet::of(gaps.iter().copied());
        self.bytes_of(gaps.layers().count() as u128, gaps.len() as u128)
    }

    /// Bytes of the sums of so many layers and gaps, in both parts.
    pub(super) fn bytes_of(&self, layers: u128, gaps: u128) -> u64 {
        let gram = layers.saturating_mul(Triangle::numbers(self.intermediate));
        bytes(2, gram.saturating_add(gaps.saturating_mul(self.cross())), size_of::<f64>())
    }

    /// Bytes that are at work beside the statistics while one bridge is fitted: the lower triangle of the matrix that
    /// is factored, in f64, the delta in f32 twice, and for each thread some columns of the solution and of what they
    /// are computed from.
    ///
    /// For an MLP of 14,336 inner activations and a stream of 4,096 numbers (Llama 3 8B) that is 1.3 GB; with the
    /// statistics of one gap, 2.6 GB, one bridge takes 3.9 GB.
    #[must_use]
    pub fn fit_bytes(&self) -> u64 {
        let (inputs, threads) = (self.intermediate as u128, rayon::current_num_threads() as u128);
        let columns = inputs.saturating_mul(4 * COLUMNS as u128 * threads);
        let f64s = bytes(1, Triangle::numbers(self.intermediate).saturating_add(columns), size_of::<f64>());
        f64s.saturating_add(bytes(2, self.cross(), size_of::<f32>()))
    }

    /// Bytes that are at work beside [`StatisticsShape::bytes`] while batches of so many tokens are walked through: the
    /// weighted inner activations and the streams in f32 of the layers whose gaps have not ended, of the layer at work,
    /// and room for the products' operands.
    #[must_use]
    pub fn batch_bytes(&self, batch_tokens: usize) -> u64 {
        self.batch_bytes_of(self.largest_gap.min(self.layers).saturating_add(1), batch_tokens)
    }

    /// As [`StatisticsShape::batch_bytes`], for so many layers at once.
    pub(super) fn batch_bytes_of(&self, layers_at_once: usize, batch_tokens: usize) -> u64 {
        let row = (self.intermediate as u128).saturating_add(self.hidden as u128);
        let rows = (layers_at_once as u128 + 1).saturating_mul(batch_tokens as u128);
        bytes(1, row.saturating_mul(rows), size_of::<f32>())
    }

    /// Bytes that the statistics of all gaps take at most beside the model: [`StatisticsShape::bytes`] with what is at
    /// work in batches of so many tokens, or while a bridge is fitted.
    #[must_use]
    pub fn needed_bytes(&self, batch_tokens: usize) -> u64 {
        self.bytes().saturating_add(self.batch_bytes(batch_tokens).max(self.fit_bytes()))
    }

    /// Numbers of a cross product.
    fn cross(&self) -> u128 {
        (self.intermediate as u128).saturating_mul(self.hidden as u128)
    }
}

/// Bytes of some numbers, several times; the most there are where that is too much.
fn bytes(times: u128, numbers: u128, size: usize) -> u64 {
    numbers.saturating_mul(times * size as u128).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA_8B: StatisticsShape =
        StatisticsShape { layers: 32, intermediate: 14_336, hidden: 4096, largest_gap: 1 };

    #[test]
    fn a_large_model_is_counted() {
        // Panels of 128 columns: the triangle has half a panel's width more than half of the square.
        let one = 14_336_u64 * (14_336 + 128) / 2 + 14_336 * 4096;
        assert_eq!(LLAMA_8B.bytes(), 31 * one * 16);
        let most = usize::MAX;
        let absurd = StatisticsShape { layers: most, intermediate: most, hidden: most, largest_gap: most };
        assert_eq!((absurd.bytes(), absurd.fit_bytes(), absurd.batch_bytes(most)), (u64::MAX, u64::MAX, u64::MAX));
    }

    /// The bar of `tailor bridge` on a model of Llama 3's size: 4 GiB beside the model, for a gap of any length.
    #[test]
    fn one_gap_of_a_large_model_fits_four_gibibytes() {
        let budget = 4 << 30;
        let of = |gaps: &[Gap]| LLAMA_8B.bytes_of_gaps(gaps);
        let gap = Gap { after: 20, length: 7 };
        let batch = LLAMA_8B.batch_bytes_of(2, layer_runtime::RuntimeOptions::default().batch_tokens);
        assert!(of(&[gap]) + LLAMA_8B.fit_bytes().max(batch) < budget, "{} and {batch}", LLAMA_8B.fit_bytes());
        let another = Gap { after: 3, length: 1 };
        assert!(of(&[gap, another]) > budget, "two gaps take two walks");
        assert_eq!(of(&[gap, another]), 2 * of(&[gap]));
        assert!(of(&[gap, Gap { length: 8, ..gap }]) < 2 * of(&[gap]), "gaps behind one layer share its Gram matrix");
    }
}
