//! Sums of outer products over tokens, in f64.

use nalgebra::DMatrix;
use rayon::prelude::*;
use tailor_simd::{Matrix, Store, product};

use super::triangle::{Triangle, panel_width};

/// Tokens that are widened to f64 at a time.
const TOKENS: usize = 512;
/// About so many columns of a product are one thread's at a time.
const COLUMNS: usize = 128;

/// Rows of numbers, one for each token.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenRows<'a> {
    /// `[tokens, width]`, row after row.
    pub values: &'a [f32],
    /// Numbers of a row; at least one.
    pub width: usize,
}

impl TokenRows<'_> {
    /// Blocks of tokens, in f64.
    fn widened(self) -> impl Iterator<Item = Widened> {
        let width = self.width;
        self.values.chunks(TOKENS * width).map(move |block| {
            let values = block.par_iter().with_min_len(1 << 14).map(|value| f64::from(*value)).collect();
            Widened { values, width }
        })
    }
}

/// Rows of numbers in f64, `[tokens, width]`.
struct Widened {
    values: Vec<f64>,
    width: usize,
}

impl Widened {
    /// Some numbers of each token.
    fn part(&self, first: usize, count: usize) -> Matrix<'_, f64> {
        let tokens = self.values.len() / self.width;
        Matrix::strided(self.values.get(first..).unwrap_or_default(), tokens, count, self.width)
    }
}

/// Adds `a^T a` to a sum `[width, width]`; of its blocks on the diagonal, the lower triangles are meant.
pub(super) fn add_gram(sum: &mut Triangle, a: TokenRows<'_>) {
    let width = panel_width(a.width);
    for block in a.widened() {
        sum.panels.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, panel)| {
            let (rows, columns) = panel.shape();
            let first = index * width;
            add(panel.as_mut_slice(), block.part(first, rows), rows, block.part(first, columns));
        });
    }
}

/// Adds `a^T b` to a sum `[a.width, b.width]`.
pub(super) fn add_cross(sum: &mut DMatrix<f64>, a: TokenRows<'_>, b: TokenRows<'_>) {
    let (rows, threads) = (a.width, rayon::current_num_threads());
    // Equally many for each thread.
    let columns = b.width.div_ceil(threads * b.width.div_ceil(threads * COLUMNS)).max(1);
    for (a, b) in a.widened().zip(b.widened()) {
        let panels = sum.as_mut_slice().par_chunks_mut(rows * columns).enumerate();
        panels.with_max_len(1).for_each(|(index, panel)| {
            let right = b.part(index * columns, panel.len() / rows);
            add(panel, a.part(0, rows), rows, right);
        });
    }
}

/// Adds `left^T right` to a panel `[rows, columns]`, column after column: by rows, it is its transpose.
fn add(panel: &mut [f64], left: Matrix<'_, f64>, rows: usize, right: Matrix<'_, f64>) {
    product(panel, rows, Store::Add, right.transposed(), left);
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
