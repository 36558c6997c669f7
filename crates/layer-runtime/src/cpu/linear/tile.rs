//! Which shapes a tile may have, so that its sums, a panel's weights and an activation fit the registers.

use pulp::{Simd, WithSimd};

use crate::cpu::simd::run;

/// Outputs of a panel.
pub(crate) const PANEL: usize = 32;

/// The most rows of a step.
pub(super) const MOST_ROWS: usize = 12;

/// The counts of rows that a tile may have, so that its sums, a panel's weights and an activation fit the registers.
pub(super) fn steps() -> &'static [usize] {
    /// Asks how many numbers a register has.
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    match run(Lanes) {
        16 => &[12, 8, 4, 2, 1],
        8 => &[3, 2, 1],
        _ => &[2, 1],
    }
}

/// The largest of falling `steps` that takes no more rows than are `left`.
pub(super) fn largest(steps: &[usize], left: usize) -> usize {
    steps.iter().copied().find(|step| *step <= left).unwrap_or(1)
}

/// The product of a few rows with a panel, for any width of registers.
pub(super) trait TileProduct: Sized {
    /// Rows of the tile.
    fn rows(&self) -> usize;

    /// Computes `R` rows by the `V` registers that hold a row of a panel.
    fn compute<S: Simd, const V: usize, const R: usize>(self, simd: S);
}

/// Computes a tile in the shape that its rows and the registers ask for.
pub(super) struct Shaped<T>(pub T);

impl<T: TileProduct> WithSimd for Shaped<T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tile = self.0;
        match (S::F32_LANES, tile.rows()) {
            (16, 12) => tile.compute::<S, 2, 12>(simd),
            (16, 8) => tile.compute::<S, 2, 8>(simd),
            (16, 4) => tile.compute::<S, 2, 4>(simd),
            (16, 2) => tile.compute::<S, 2, 2>(simd),
            (16, _) => tile.compute::<S, 2, 1>(simd),
            (8, 3) => tile.compute::<S, 4, 3>(simd),
            (8, 2) => tile.compute::<S, 4, 2>(simd),
            (8, _) => tile.compute::<S, 4, 1>(simd),
            (4, 2) => tile.compute::<S, 8, 2>(simd),
            (4, _) => tile.compute::<S, 8, 1>(simd),
            (_, 2) => tile.compute::<S, PANEL, 2>(simd),
            _ => tile.compute::<S, PANEL, 1>(simd),
        }
    }
}
