//! Cholesky's factorisation by panels.
//!
//! nalgebra's works column by column, which takes 5 to 10 times as long from a thousand columns on: each number of the
//! matrix is read again for each column. Here nalgebra factors the blocks on the diagonal, and products of matrices do
//! the rest. (faer would do the same; it and what it needs take longer to compile than the rest of this crate.)

use nalgebra::{Cholesky, DMatrix, DMatrixViewMut};
use rayon::prelude::*;

use super::triangle::{Triangle, add_transposed_product, panel_width};

/// Rows below the diagonal that a thread works on at a time.
const ROWS: usize = 64;

/// `L` of `A = L Lᵀ`, in panels like those of `A`; above the diagonal it holds nothing of use.
#[derive(Debug)]
pub(super) struct Factors(Triangle);

impl Factors {
    /// Factors a matrix in its place; `None` if it is not positive definite in f64.
    pub fn of(mut matrix: Triangle) -> Option<Self> {
        let width = panel_width(matrix.size());
        for place in 0..matrix.panels.len() {
            let (done, rest) = matrix.panels.split_at_mut(place + 1);
            let panel = done.last_mut()?;
            factor_panel(panel)?;
            let panel = &*panel;
            rest.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, later)| {
                let first = (index + 1) * width;
                let right = panel.rows(first, later.ncols()).transpose();
                later.gemm(-1.0, &panel.rows(first, later.nrows()), &right, 1.0);
            });
        }
        Some(Self(matrix))
    }

    /// Replaces some columns `B`, `[size, columns]`, one after the other in memory, by `A⁻¹ B`.
    pub fn solve(&self, columns: &mut [f64]) {
        let size = self.0.size();
        let mut x = DMatrixViewMut::from_slice(columns, size, columns.len() / size.max(1));
        let width = panel_width(size);
        // L y = b, from above; then Lᵀ x = y, from below.
        for (index, panel) in self.0.panels.iter().enumerate() {
            let (own, below) = (index * width, index * width + panel.ncols());
            let block = panel.rows(0, panel.ncols());
            let (mut own, mut below) = x.rows_range_pair_mut(own..below, below..size);
            block.solve_lower_triangular_unchecked_mut(&mut own);
            below.gemm(-1.0, &panel.rows(panel.ncols(), below.nrows()), &own, 1.0);
        }
        for (index, panel) in self.0.panels.iter().enumerate().rev() {
            let (own, below) = (index * width, index * width + panel.ncols());
            let block = panel.rows(0, panel.ncols());
            let (mut own, below) = x.rows_range_pair_mut(own..below, below..size);
            add_transposed_product(&mut own, -1.0, (panel, panel.ncols()), &below.as_view());
            block.tr_solve_lower_triangular_unchecked_mut(&mut own);
        }
    }
}

/// The block on the diagonal becomes its factor `L`, what is below it `B L⁻ᵀ`.
fn factor_panel(panel: &mut DMatrix<f64>) -> Option<()> {
    let width = panel.ncols();
    let block = Cholesky::new(panel.rows(0, width).into_owned())?.unpack();
    panel.rows_mut(0, width).copy_from(&block);
    // By the inverse of the block, as nalgebra solves column by column. Rows as columns: each thread has some of its
    // own.
    let inverse = block.solve_lower_triangular(&DMatrix::identity(width, width))?;
    let mut below = panel.rows(width, panel.nrows() - width).transpose();
    below.as_mut_slice().par_chunks_mut(width * ROWS).for_each(|rows| {
        let mut rows = DMatrixViewMut::from_slice(rows, width, rows.len() / width);
        let product = &inverse * &rows;
        rows.copy_from(&product);
    });
    panel.rows_mut(width, below.ncols()).copy_from(&below.transpose());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::triangle::tests::{SIZES, made};
    use super::*;

    #[test]
    fn solutions_are_those_of_nalgebra() {
        for size in SIZES {
            let (whole, triangle, columns) = made(size, 5);
            let expected = Cholesky::new(whole).map(|factors| factors.solve(&columns));
            let mut found = columns.clone();
            let factors = Factors::of(triangle);
            assert!(factors.is_some(), "of size {size}");
            factors.iter().for_each(|factors| factors.solve(found.as_mut_slice()));
            let worst = expected.map(|expected| (&found - &expected).abs().max() / expected.abs().max());
            assert!(worst.is_some_and(|worst| worst < 1e-9), "of size {size}: off by {worst:?}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factors() {
        for size in SIZES {
            let (_, triangle, _) = made(size, 1);
            let mut indefinite = triangle.clone();
            indefinite.add_to_diagonal(-2.0 * size as f64);
            assert!(Factors::of(indefinite).is_none(), "of size {size}");
            let mut broken = triangle;
            broken.add_to_diagonal(f64::NAN);
            assert!(Factors::of(broken).is_none(), "not a number, of size {size}");
        }
    }
}
