//! Symmetric matrices, of which the lower triangle is kept in panels of columns: half the memory of a square, and the
//! blocks that Cholesky's factorisation works on.

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

/// Columns of a panel of a large matrix; a small one has narrower panels, so that each thread gets some.
const PANEL: usize = 128;
/// A matrix of fewer columns has panels of a quarter of [`PANEL`].
const SMALL: usize = 512;

/// A symmetric matrix `[size, size]`. Panel `p` has the columns from `p * width` on, from the diagonal downwards; its
/// first rows are a square block on the diagonal, whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Triangle {
    size: usize,
    /// `[size - p * width, width]`, the last one narrower.
    pub panels: Vec<DMatrix<f64>>,
}

/// Columns of the panels of a matrix of some size.
pub(super) fn panel_width(size: usize) -> usize {
    if size < SMALL { PANEL / 4 } else { PANEL }
}

/// The first column of each panel, and how many columns it has.
fn panels(size: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = panel_width(size);
    (0..size).step_by(width).map(move |first| (first, width.min(size - first)))
}

/// Adds `factor Pᵀ B` to a matrix, where `P` are the rows of a panel from `first_row` on.
pub(super) fn add_transposed_product(
    out: &mut DMatrixViewMut<'_, f64>,
    factor: f64,
    (panel, first_row): (&DMatrix<f64>, usize),
    b: &DMatrixView<'_, f64>,
) {
    /// nalgebra 0.35 multiplies smaller matrices column by column, and then reads wrong places of the view below.
    const SMALL: usize = 8;
    let (rows, columns) = panel.shape();
    let used = rows.saturating_sub(first_row);
    if [columns, used, b.ncols()].into_iter().any(|dimension| dimension < SMALL) {
        out.gemm_tr(factor, &panel.rows(first_row, used), b, 1.0);
    } else {
        // The transpose, seen in place.
        let values = &panel.as_slice()[first_row..];
        let turned: DMatrixView<'_, f64, Dyn, Dyn> =
            DMatrixView::from_slice_with_strides(values, columns, used, rows, 1);
        out.gemm(factor, &turned, b, 1.0);
    }
}

impl Triangle {
    /// All zero.
    pub fn zero(size: usize) -> Self {
        let panel = |(first, width): (usize, usize)| DMatrix::zeros(size - first, width);
        Self { size, panels: panels(size).map(panel).collect() }
    }

    /// Numbers that a matrix of some size is kept in: `size (size + width) / 2` for panels of equal width.
    pub fn numbers(size: usize) -> u128 {
        let (size, width) = (size as u128, panel_width(size) as u128);
        let (whole, rest) = (size / width, size % width);
        // Panels of `width` columns with `size`, `size - width`, ... rows, and a last one of `rest` by `rest`.
        whole.saturating_mul(size).saturating_mul(width) - width * width * (whole * whole.saturating_sub(1) / 2)
            + rest * rest
    }

    /// Rows, and columns.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Makes the blocks on the diagonal symmetric, whose lower triangles are right.
    pub fn mirror(&mut self) {
        for panel in &mut self.panels {
            let width = panel.ncols();
            panel.rows_mut(0, width).fill_upper_triangle_with_lower_triangle();
        }
    }

    /// The sum of the diagonal, over its length.
    pub fn mean_diagonal(&self) -> f64 {
        self.panels.iter().map(|panel| panel.rows(0, panel.ncols()).trace()).sum::<f64>() / self.size as f64
    }

    /// Adds a number to each element of the diagonal.
    pub fn add_to_diagonal(&mut self, added: f64) {
        for panel in &mut self.panels {
            (0..panel.ncols()).for_each(|place| panel[(place, place)] += added);
        }
    }

    /// Adds another matrix of the same size.
    pub fn add(&mut self, other: &Self) {
        self.panels.par_iter_mut().zip(&other.panels).for_each(|(own, other)| *own += other);
    }

    /// `trace(Dᵀ A D)` of this matrix `A` and some `D`, `[size, columns]`.
    pub fn quadratic(&self, d: DMatrixView<'_, f64>) -> f64 {
        let one = |((first, width), panel): ((usize, usize), &DMatrix<f64>)| {
            let own = d.rows(first, width);
            let mut product = DMatrix::zeros(width, d.ncols());
            product.gemm(1.0, &panel.rows(0, width), &own, 0.0);
            // What is below the diagonal counts twice.
            let below = d.rows(first + width, self.size - first - width);
            add_transposed_product(&mut product.as_view_mut(), 2.0, (panel, width), &below);
            own.dot(&product)
        };
        panels(self.size).zip(&self.panels).map(one).sum()
    }

    /// `W A Wᵀ` of this matrix `A` and some `W`, `[rows, size]`.
    pub fn sandwiched(&self, w: &DMatrix<f64>) -> Self {
        let rows = w.nrows();
        // `half + halfᵀ = A`: the panels, with half of the blocks on the diagonal. This is `W half`.
        let mut product = DMatrix::<f64>::zeros(rows, self.size);
        let columns = product.as_mut_slice().par_chunks_mut(rows * panel_width(self.size));
        columns.zip(&self.panels).enumerate().for_each(|(index, (columns, panel))| {
            let (first, width) = (index * panel_width(self.size), panel.ncols());
            let mut half = panel.clone();
            half.rows_mut(0, width).scale_mut(0.5);
            let mut columns = DMatrixViewMut::from_slice(columns, rows, width);
            columns.gemm(1.0, &w.columns(first, self.size - first), &half, 0.0);
        });
        let mut out = Self::zero(rows);
        out.panels.par_iter_mut().zip(panels(rows).collect::<Vec<_>>()).for_each(|(panel, (first, width))| {
            let below = |matrix: &DMatrix<f64>| matrix.rows(first, rows - first).into_owned();
            let beside = |matrix: &DMatrix<f64>| matrix.rows(first, width).transpose();
            panel.gemm(1.0, &below(&product), &beside(w), 0.0);
            panel.gemm(1.0, &below(w), &beside(&product), 1.0);
        });
        out.mirror();
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng, rngs::ChaCha8Rng};

    /// A positive definite matrix, whole and as its triangle, and another matrix of some columns.
    pub(in crate::bridges) fn made(size: usize, columns: usize) -> (DMatrix<f64>, Triangle, DMatrix<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(size as u64);
        let mut draw = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| random.random_range(-1.0..1.0));
        let root = draw(size, size);
        let whole = &root * root.transpose() + DMatrix::identity(size, size);
        let mut triangle = Triangle::zero(size);
        for ((first, width), panel) in panels(size).zip(&mut triangle.panels) {
            panel.copy_from(&whole.view((first, first), (size - first, width)));
        }
        (whole, triangle, draw(size, columns))
    }

    /// Sizes below, at and beyond a panel, and of both widths.
    pub(in crate::bridges) const SIZES: [usize; 6] = [1, 31, 32, 97, 511, 700];

    #[test]
    fn a_triangle_counts_its_numbers() {
        for size in SIZES {
            let numbers: usize = Triangle::zero(size).panels.iter().map(DMatrix::len).sum();
            assert_eq!(Triangle::numbers(size), numbers as u128, "of size {size}");
        }
    }

    #[test]
    fn products_are_those_of_the_whole_matrix() {
        for size in SIZES {
            let (whole, triangle, d) = made(size, 7);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-10 * b.abs().max(1.0);
            assert!(close(triangle.quadratic(d.as_view()), (d.transpose() * &whole * &d).trace()), "of size {size}");
            assert!(close(triangle.mean_diagonal(), whole.trace() / size as f64));
            let expected = d.transpose() * &whole * &d;
            let found = triangle.sandwiched(&d.transpose());
            let worst = (&found.panels[0] - &expected).abs().max() / expected.abs().max();
            assert!(worst < 1e-12, "of size {size}: {worst:e}");
        }
    }
}
