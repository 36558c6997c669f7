//! The bf16 product for processors without instructions for it: conversions and multiply-adds in f32.

use pulp::{Arch, Simd};

use super::pairs::{interleave_step, pairs, panels};
use super::product::{self, Kernel};
use super::tile::{PANEL, Shaped, TileProduct, largest, steps};
use super::weights::WeightRows;
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::simd::arch;

/// As small in memory as the instructions' kernels, but no faster than f32. It is also the twin that their tests
/// compare with: like `vdpbf16ps`, it adds the product of the second input of a pair first.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortableBf16 {
    arch: Arch,
    /// Falling counts of rows; the last is 1.
    steps: &'static [usize],
}

impl PortableBf16 {
    /// For the registers of this processor.
    pub fn new() -> Self {
        Self { arch: arch(), steps: steps() }
    }
}

impl Kernel for PortableBf16 {
    type X = u32;
    type W = u32;

    /// Every processor has registers for it.
    fn detect() -> Option<Self> {
        Some(Self::new())
    }

    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<u32> {
        panels(rows)
    }

    /// As many rows as the sums of a tile have registers.
    fn step(self, left: usize) -> usize {
        largest(self.steps, left)
    }

    fn width(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    /// Rounds to bf16; rows become columns, `[pairs][rows]`.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        interleave_step(x, inputs, packed);
    }

    fn tile(self, x: &[u32], panel: &[u32], rows: usize, tile: &mut [[f32; PANEL]; product::MOST_ROWS]) {
        self.arch.dispatch(Shaped(Bf16Tile { x, panel, tile: &mut tile[..rows] }));
    }
}

/// A step of rows by a panel.
struct Bf16Tile<'a> {
    /// `[pairs][rows]`
    x: &'a [u32],
    /// `[pairs][PANEL]`
    panel: &'a [u32],
    /// The sums, one row for each row of `x`.
    tile: &'a mut [[f32; PANEL]],
}

impl TileProduct for Bf16Tile<'_> {
    fn rows(&self) -> usize {
        self.tile.len()
    }

    /// A pair of weights becomes two registers of f32 by a shift and a mask.
    #[inline(always)]
    fn compute<S: Simd, const V: usize, const R: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let (sixteen, high) = (simd.splat_u32s(16), simd.splat_u32s(0xffff_0000));
        let (weights, _) = S::as_simd_u32s(self.panel);
        for (x, weights) in self.x.as_chunks::<R>().0.iter().zip(weights.as_chunks::<V>().0) {
            let first = weights.map(|w| simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(w, sixteen)));
            let second = weights.map(|w| simd.transmute_f32s_u32s(simd.and_u32s(w, high)));
            for (sums, x) in sums.iter_mut().zip(x) {
                let x0 = simd.splat_f32s(f32::from_bits(x << 16));
                let x1 = simd.splat_f32s(f32::from_bits(x & 0xffff_0000));
                for (sum, (first, second)) in sums.iter_mut().zip(first.iter().zip(&second)) {
                    *sum = simd.mul_add_e_f32s(x1, *second, *sum);
                    *sum = simd.mul_add_e_f32s(x0, *first, *sum);
                }
            }
        }
        for (row, sums) in self.tile.iter_mut().zip(&sums) {
            S::as_mut_simd_f32s(row).0.copy_from_slice(sums);
        }
    }
}
