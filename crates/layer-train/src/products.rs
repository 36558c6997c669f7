//! Products of matrices in slices, by the crate `gemm`: the one place with unsafe code, behind checks of every bound.
//!
//! All matrices are row-major with rows a stride apart, so that a head's columns of a wider matrix are an operand too.
#![expect(unsafe_code, reason = "the library's entry takes pointers; `product` checks all that they reach")]

use gemm_common::Parallelism;

/// A matrix `[rows, columns]` to read: number `(i, j)` stands at `i * row_stride + j * column_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub fn new(data: &'a [f32], columns: usize) -> Self {
        Self::strided(data, data.len() / columns.max(1), columns, columns)
    }

    /// Rows that begin `row_stride` numbers apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same numbers with rows as columns.
    pub fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// Whether the last number stands within the data.
    fn is_within(&self) -> bool {
        reaches(self.rows, self.columns, self.row_stride, self.column_stride) <= self.data.len()
    }
}

/// One past the place of the last number of a matrix.
fn reaches(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + (columns - 1) * column_stride + 1 }
}

/// What becomes of the numbers that the result's place had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// They are replaced.
    Set,
    /// The product is added to them.
    Add,
}

/// `out = a b`, or `out += a b`, on this thread: `a` is `[rows, inner]`, `b` is `[inner, columns]`, and the rows of
/// `out` begin `out_stride` numbers apart.
///
/// The sum over `inner` runs in one order whatever the number of rows, so that blocks of rows give the same numbers.
pub(crate) fn product(out: &mut [f32], out_stride: usize, store: Store, a: Matrix<'_>, b: Matrix<'_>) {
    let (rows, inner, columns) = (a.rows, a.columns, b.columns);
    assert!(b.rows == inner && a.is_within() && b.is_within(), "operands of one inner size, within their slices");
    assert!(out_stride >= columns && reaches(rows, columns, out_stride, 1) <= out.len(), "a result within its slice");
    if rows == 0 || columns == 0 {
        return;
    }
    let multiply = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: every number that is read or written lies within its slice, as was checked above; `out` is borrowed
    // mutably, so that it overlaps neither operand; a slice's length, and so each stride, fits an isize.
    unsafe {
        multiply(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            store == Store::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
