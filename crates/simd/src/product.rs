//! Products of matrices in slices, by the crate `gemm`, whose pointers stand behind checks of every bound.
#![expect(unsafe_code, reason = "the library's entry takes pointers; `product` checks all that they reach")]

use gemm_common::Parallelism;

/// A type of numbers that matrices are multiplied in: f32 or f64.
pub trait Number: Copy + Entry {}
impl<T: Copy + Entry> Number for T {}

/// `out, m, n, k` and the operands with their strides, as `gemm` takes them.
type Multiply<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

mod entry {
    /// The library's entry for a type of numbers.
    pub trait Entry: Sized {
        const ONE: Self;
        fn multiply() -> super::Multiply<Self>;
    }

    impl Entry for f32 {
        const ONE: Self = 1.0;
        fn multiply() -> super::Multiply<Self> {
            gemm_f32::gemm::f32::get_gemm_fn()
        }
    }

    impl Entry for f64 {
        const ONE: Self = 1.0;
        fn multiply() -> super::Multiply<Self> {
            gemm_f64::gemm::f64::get_gemm_fn()
        }
    }
}
use entry::Entry;

/// A matrix `[rows, columns]` to read: number `(i, j)` stands at `i * row_stride + j * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows one after the other.
    #[must_use]
    pub fn new(data: &'a [T], columns: usize) -> Self {
        Self::strided(data, data.len() / columns.max(1), columns, columns)
    }

    /// Rows that begin `row_stride` numbers apart.
    #[must_use]
    pub fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same numbers with rows as columns.
    #[must_use]
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
pub enum Store {
    /// They are replaced.
    Set,
    /// The product is added to them.
    Add,
}

/// `out = a b`, or `out += a b`, on this thread: `a` is `[rows, inner]`, `b` is `[inner, columns]`, and the rows of
/// `out` begin `out_stride` numbers apart. A number that is counted by columns is that of the transpose by rows.
///
/// The sum over `inner` runs in one order whatever the number of rows, so that blocks of rows give the same numbers.
///
/// ```
/// use tailor_simd::{Matrix, Store, product};
///
/// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0]);
/// let mut out = [0.5; 2];
/// product(&mut out, 1, Store::Add, Matrix::new(&a, 2), Matrix::new(&b, 1));
/// assert_eq!(out, [17.5, 39.5]);
/// ```
///
/// # Panics
/// If the inner sizes differ, or a matrix goes beyond its slice.
pub fn product<T: Number>(out: &mut [T], out_stride: usize, store: Store, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    let (rows, inner, columns) = (a.rows, a.columns, b.columns);
    assert!(b.rows == inner && a.is_within() && b.is_within(), "operands of one inner size, within their slices");
    assert!(out_stride >= columns && reaches(rows, columns, out_stride, 1) <= out.len(), "a result within its slice");
    if rows == 0 || columns == 0 {
        return;
    }
    // The library's kernels store whole registers down a column of the result, and read them down one of the left
    // operand. Where `b` is by rows, `outᵀ = bᵀ aᵀ` is that: up to five times as fast.
    let (left, right, steps) =
        if b.column_stride == 1 { (b.transposed(), a.transposed(), [out_stride, 1]) } else { (a, b, [1, out_stride]) };
    let multiply = T::multiply();
    // SAFETY: every number that is read or written lies within its slice, as was checked above; `out` is borrowed
    // mutably, so that it overlaps neither operand; a slice's length, and so each stride, fits an isize.
    unsafe {
        multiply(
            left.rows,
            right.columns,
            inner,
            out.as_mut_ptr(),
            steps[0] as isize,
            steps[1] as isize,
            store == Store::Add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any sizes and strides, set or added to, either operand by rows or by columns, against plain loops.
        #[test]
        fn products_are_those_of_plain_loops(
            (rows, inner, columns) in (0usize..20, 0usize..20, 0usize..20),
            (more, turn_a, turn_b, adds) in (0usize..3, any::<bool>(), any::<bool>(), any::<bool>()),
        ) {
            let number = |place: usize| ((place * 7919 + 13) % 23) as f64 - 11.0;
            let store = if adds { Store::Add } else { Store::Set };
            let a: Vec<f64> = (0..rows * inner).map(number).collect();
            let b: Vec<f64> = (0..inner * columns).map(|place| number(place + 5)).collect();
            let of = |data, rows, columns, turned| match turned {
                true => Matrix::strided(data, columns, rows, rows).transposed(),
                false => Matrix::strided(data, rows, columns, columns),
            };
            let at = |data: &[f64], rows: usize, columns: usize, turned: bool, i: usize, j: usize| {
                if turned { data[j * rows + i] } else { data[i * columns + j] }
            };
            let stride = columns + more;
            let before: Vec<f64> = (0..rows * stride).map(|place| number(place + 3)).collect();
            let mut out = before.clone();
            product(&mut out, stride, store, of(&a, rows, inner, turn_a), of(&b, inner, columns, turn_b));
            for (place, found) in out.iter().enumerate() {
                let (i, j) = (place / stride, place % stride);
                let sum = |j| -> f64 {
                    (0..inner).map(|k| at(&a, rows, inner, turn_a, i, k) * at(&b, inner, columns, turn_b, k, j)).sum()
                };
                let expected = match (j < columns, adds) {
                    (false, _) => before[place],
                    (true, true) => before[place] + sum(j),
                    (true, false) => sum(j),
                };
                prop_assert_eq!(*found, expected);
            }
        }
    }

    #[test]
    #[should_panic(expected = "within their slices")]
    fn a_matrix_beyond_its_slice_is_refused() {
        product(&mut [0.0; 4], 2, Store::Set, Matrix::strided(&[0.0; 3], 2, 2, 2), Matrix::new(&[0.0; 4], 2));
    }
}
