//! Which shapes a tile may have, so that its sums, a panel's weights and an activation fit the registers.

use pulp::{Arch, Simd, WithSimd};

use super::PANEL;

/// The most rows of a step.
pub(super) const MOST_ROWS: usize = 12;

/// The counts of rows that a tile may have, so that its sums, a panel's weights and an activation fit the registers.
pub(super) fn steps(arch: Arch) -> &'static [usize] {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    match arch.dispatch(Lanes) {
        16 => &[12, 8, 4, 2, 1],
        8 => &[3, 2, 1],
        _ => &[2, 1],
    }
}

/// The largest step that is left.
pub(super) fn largest(steps: &[usize], left: usize) -> usize {
    steps.iter().copied().find(|step| *step <= left).unwrap_or(1)
}

/// What a kernel computes of a tile, in any shape.
pub(super) trait Sums: Sized {
    /// Rows of the tile.
    fn rows(&self) -> usize;

    /// `R` rows by `V` registers of a panel.
    fn sums<S: Simd, const V: usize, const R: usize>(self, simd: S);
}

/// A tile in the shape that its rows and the registers ask for.
pub(super) struct OfShape<T>(pub T);

impl<T: Sums> WithSimd for OfShape<T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tile = self.0;
        match (S::F32_LANES, tile.rows()) {
            (16, 12) => tile.sums::<S, 2, 12>(simd),
            (16, 8) => tile.sums::<S, 2, 8>(simd),
            (16, 4) => tile.sums::<S, 2, 4>(simd),
            (16, 2) => tile.sums::<S, 2, 2>(simd),
            (16, _) => tile.sums::<S, 2, 1>(simd),
            (8, 3) => tile.sums::<S, 4, 3>(simd),
            (8, 2) => tile.sums::<S, 4, 2>(simd),
            (8, _) => tile.sums::<S, 4, 1>(simd),
            (4, 2) => tile.sums::<S, 8, 2>(simd),
            (4, _) => tile.sums::<S, 8, 1>(simd),
            (_, 2) => tile.sums::<S, PANEL, 2>(simd),
            _ => tile.sums::<S, PANEL, 1>(simd),
        }
    }
}
