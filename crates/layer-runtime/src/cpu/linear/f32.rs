//! The product in f32, by multiply-adds on registers of any width.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::{self, Kernel};
use super::tile::{MOST_ROWS, PANEL, Shaped, TileProduct, largest, steps};
use super::weights::WeightRows;
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::interleave::interleave;
use crate::cpu::simd::{arch, run};

/// Fused multiply-adds on the widest registers: with AVX-512, 12 rows and a panel are 24 sums side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct F32Kernel {
    arch: Arch,
    /// Falling counts of rows; the last is 1.
    steps: &'static [usize],
}

impl F32Kernel {
    /// For the registers of this processor.
    pub fn new() -> Self {
        Self { arch: arch(), steps: steps() }
    }
}

/// Inputs of a panel that are transposed at once.
const BLOCK: usize = 128;

/// Panels of weights, `[panels][inputs][PANEL]`.
fn panels(rows: &WeightRows<'_>) -> CacheAligned<f32> {
    let inputs = rows.inputs;
    let mut panels = CacheAligned::zeroed(rows.panels.len() * inputs * PANEL);
    panels.par_chunks_mut((inputs * PANEL).max(1)).zip(&rows.panels).for_each(|(panel, rows)| {
        let mut block = [[0.0; BLOCK]; PANEL];
        for start in (0..inputs).step_by(BLOCK) {
            let width = BLOCK.min(inputs - start);
            for (row, block) in rows.iter().zip(&mut block) {
                row.read(start..start + width, &mut block[..width]);
            }
            let mut turned: [&[f32]; PANEL] = [&[]; PANEL];
            turned.iter_mut().zip(&block).for_each(|(turned, row)| *turned = &row[..width]);
            run(Interleave { rows: &turned, to: &mut panel[start * PANEL..], slots: PANEL });
        }
    });
    panels
}

impl Kernel for F32Kernel {
    type X = f32;
    type W = f32;

    /// Every processor has registers for it.
    fn detect() -> Option<Self> {
        Some(Self::new())
    }

    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<f32> {
        panels(rows)
    }

    /// As many rows as the sums of a tile have registers.
    fn step(self, left: usize) -> usize {
        largest(self.steps, left)
    }

    fn width(self, inputs: usize) -> usize {
        inputs
    }

    /// Rows become columns: `[inputs][rows]`.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [f32]) {
        let mut rows: [&[f32]; MOST_ROWS] = [&[]; MOST_ROWS];
        let count = x.len() / inputs.max(1);
        rows.iter_mut().zip(x.chunks_exact(inputs.max(1))).for_each(|(row, x)| *row = x);
        run(Interleave { rows: &rows[..count], to: packed, slots: count });
    }

    fn tile(self, x: &[f32], panel: &[f32], rows: usize, tile: &mut [[f32; PANEL]; product::MOST_ROWS]) {
        self.arch.dispatch(Shaped(F32Tile { x, panel, tile: &mut tile[..rows] }));
    }
}

/// Transposes rows of one length into columns of `slots` numbers.
struct Interleave<'a> {
    rows: &'a [&'a [f32]],
    /// `[columns][slots]`
    to: &'a mut [f32],
    /// Numbers of a column, at least as many as rows.
    slots: usize,
}

impl WithSimd for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        interleave(self.rows, self.to, self.slots);
    }
}

/// A step of rows by a panel.
struct F32Tile<'a> {
    /// `[inputs][rows]`
    x: &'a [f32],
    /// `[inputs][PANEL]`
    panel: &'a [f32],
    /// The sums, one row for each row of `x`.
    tile: &'a mut [[f32; PANEL]],
}

impl TileProduct for F32Tile<'_> {
    fn rows(&self) -> usize {
        self.tile.len()
    }

    /// For each input: the rows' numbers, each broadcast, times the panel's registers.
    #[inline(always)]
    fn compute<S: Simd, const V: usize, const R: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let (weights, _) = S::as_simd_f32s(self.panel);
        for (x, weights) in self.x.as_chunks::<R>().0.iter().zip(weights.as_chunks::<V>().0) {
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = simd.splat_f32s(*x);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add_e_f32s(x, *weight, *sum);
                }
            }
        }
        for (row, sums) in self.tile.iter_mut().zip(&sums) {
            S::as_mut_simd_f32s(row).0.copy_from_slice(sums);
        }
    }
}
