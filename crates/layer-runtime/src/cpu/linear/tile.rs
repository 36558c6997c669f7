//! The shapes of tiles: which sums a kind of registers holds side by side.
//!
//! A tile is a few rows of activations by a *strip*, a few registers of outputs. Its sums, the strip's weights and an
//! activation must fit the registers, and there must be enough sums that no multiply-add waits for the one before it:
//!
//! | registers | strip | rows | sums in registers |
//! |---|---|---|---|
//! | 32 of 16 numbers (AVX-512) | 32 outputs | 12 | 24 |
//! | 16 of 8 numbers (AVX2) | 16 outputs | 6 | 12 |
//! | 32 of 4 numbers (NEON) | 16 outputs | 6 | 24 |
//! | plain numbers | 16 outputs | 2 | left to the compiler |

use tailor_simd::{Simd, WithSimd, run};

/// Outputs of a panel: one strip, or several.
pub(crate) const PANEL: usize = 32;

/// The most rows of a tile.
pub(super) const MOST_ROWS: usize = 12;

/// The largest tile of a kind of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TileShape {
    /// Outputs of a strip; they divide [`PANEL`].
    pub strip: usize,
    /// Falling counts of rows; the last is 1.
    pub rows: &'static [usize],
}

impl TileShape {
    /// For registers of so many numbers.
    pub const fn of(lanes: usize) -> Self {
        match lanes {
            16 => Self { strip: 32, rows: &[12, 8, 4, 2, 1] },
            8 | 4 => Self { strip: 16, rows: &[6, 4, 2, 1] },
            _ => Self { strip: 16, rows: &[2, 1] },
        }
    }

    /// For the registers that all kernels use.
    pub fn here() -> Self {
        /// Asks how many numbers a register has.
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            fn with_simd<S: Simd>(self, _: S) -> usize {
                S::F32_LANES
            }
        }
        Self::of(run(Lanes))
    }

    /// How many rows to take next when `left` rows are left.
    pub fn step(self, left: usize) -> usize {
        largest(self.rows, left)
    }
}

/// The largest of falling `steps` that takes no more rows than are `left`.
pub(super) fn largest(steps: &[usize], left: usize) -> usize {
    steps.iter().copied().find(|step| *step <= left).unwrap_or(1)
}
