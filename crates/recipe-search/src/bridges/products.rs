//! Sums of outer products over tokens: in f32 within a block of tokens, in f64 over the blocks.
//!
//! Blocks are short, so that f32 rounds short sums only: an entry is right to about 1e-8 of the diagonal. A ridge of a
//! thousandth lets a thousand times that into the solution: with blocks of 256 tokens a delta was off by 1.8e-4 of its
//! largest value, with blocks of 32 by 2e-5.

use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

use super::triangle::{Triangle, panel_width};

/// Tokens whose products are summed in f32.
const TOKENS: usize = 32;
/// The least and the most columns of a panel of the sum, each panel on one thread: with fewer, packing the operands
/// takes longer than their product.
const COLUMNS: [usize; 2] = [32, 128];
/// Rows of a tile of a panel: its sums stay in a core's cache from block to block.
const ROWS: usize = 256;

/// Rows of numbers, one for each token.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenRows<'a> {
    /// `[tokens, width]`, row after row.
    pub values: &'a [f32],
    /// Numbers of a row; at least one.
    pub width: usize,
}

impl<'a> TokenRows<'a> {
    /// Some numbers of some tokens: `[tokens, numbers]`.
    fn part(self, tokens: Range<usize>, numbers: Range<usize>) -> Part<'a> {
        let values = &self.values[tokens.start * self.width + numbers.start..];
        DMatrixView::from_slice_with_strides(values, tokens.len(), numbers.len(), self.width, 1)
    }

    /// The same, transposed: `[numbers, tokens]`.
    fn transposed_part(self, tokens: Range<usize>, numbers: Range<usize>) -> Part<'a> {
        let values = &self.values[tokens.start * self.width + numbers.start..];
        DMatrixView::from_slice_with_strides(values, numbers.len(), tokens.len(), 1, self.width)
    }

    /// The tokens in blocks.
    fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        let tokens = self.values.len() / self.width;
        (0..tokens).step_by(TOKENS).map(move |first| first..tokens.min(first + TOKENS))
    }
}

/// A part of [`TokenRows`], seen in place.
type Part<'a> = DMatrixView<'a, f32, Dyn, Dyn>;

/// Adds `a^T a` to a sum `[width, width]`; of its blocks on the diagonal, the lower triangles are meant.
pub(super) fn add_gram(sum: &mut Triangle, a: TokenRows<'_>) {
    let width = panel_width(a.width);
    sum.panels.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, panel)| {
        add_panel(panel.as_mut_slice(), a, index * width..a.width, a, index * width..a.width.min((index + 1) * width));
    });
}

/// Adds `a^T b` to a sum `[a.width, b.width]`.
pub(super) fn add_cross(sum: &mut DMatrix<f64>, a: TokenRows<'_>, b: TokenRows<'_>) {
    let height = a.width;
    let width = b.width.div_ceil(rayon::current_num_threads()).clamp(COLUMNS[0], COLUMNS[1]);
    let panels = sum.as_mut_slice().par_chunks_mut(height * width).enumerate();
    panels.with_max_len(1).for_each(|(index, panel)| {
        add_panel(panel, a, 0..height, b, index * width..index * width + panel.len() / height);
    });
}

/// Adds some rows and columns of `a^T b` to a panel of a sum, `[rows, columns]`, column after column.
fn add_panel(panel: &mut [f64], a: TokenRows<'_>, rows: Range<usize>, b: TokenRows<'_>, columns: Range<usize>) {
    let mut products = vec![0.0; ROWS * columns.len()];
    for first in rows.clone().step_by(ROWS) {
        let tile = first..rows.end.min(first + ROWS);
        let own = tile.start - rows.start..tile.end - rows.start;
        for tokens in a.blocks() {
            let left = a.transposed_part(tokens.clone(), tile.clone());
            let mut product = DMatrixViewMut::from_slice(&mut products, tile.len(), columns.len());
            product.gemm(1.0, &left, &b.part(tokens, columns.clone()), 0.0);
            for (products, sums) in products.chunks_exact(tile.len()).zip(panel.chunks_exact_mut(rows.len())) {
                sums[own.clone()].iter_mut().zip(products).for_each(|(sum, product)| *sum += f64::from(*product));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng, rngs::ChaCha8Rng};

    /// Sizes beyond a tile, a panel and a block, and none that divides another.
    #[test]
    fn sums_are_those_of_plain_loops() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (tokens, width, other) = (601, 301, 70);
        let mut rows =
            |width: usize| -> Vec<f32> { (0..tokens * width).map(|_| random.random_range(-1.0..1.0)).collect() };
        let (a, b) = (rows(width), rows(other));
        let plain = |x: &[f32], x_width: usize, i: usize, y: &[f32], y_width: usize, j: usize| -> f64 {
            (0..tokens).map(|t| f64::from(x[t * x_width + i]) * f64::from(y[t * y_width + j])).sum()
        };
        let (mut gram, mut cross) = (Triangle::zero(width), DMatrix::zeros(width, other));
        // In two calls, as of two batches.
        for (a, b) in a.chunks(400 * width).zip(b.chunks(400 * other)) {
            let a = TokenRows { values: a, width };
            add_gram(&mut gram, a);
            add_cross(&mut cross, a, TokenRows { values: b, width: other });
        }
        // A diagonal entry is about 200.
        let panel = panel_width(width);
        for i in 0..width {
            for j in 0..=i {
                let found = gram.panels[j / panel][(i - j / panel * panel, j % panel)];
                let off = (found - plain(&a, width, i, &a, width, j)).abs();
                assert!(off < 1e-7 * 200.0, "({i}, {j}) of the Gram matrix differs by {off:e}");
            }
            for j in 0..other {
                let off = (cross[(i, j)] - plain(&a, width, i, &b, other, j)).abs();
                assert!(off < 1e-7 * 200.0, "({i}, {j}) of the cross product differs by {off:e}");
            }
        }
    }

    #[test]
    fn no_tokens_add_nothing() {
        let mut gram = Triangle::zero(2);
        gram.add_to_diagonal(1.0);
        let before = gram.clone();
        add_gram(&mut gram, TokenRows { values: &[], width: 2 });
        assert_eq!(gram, before);
    }
}
