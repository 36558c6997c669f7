//! AVX512-BF16: the dot product of pairs of bf16 numbers on registers of 512 bits.

use std::arch::x86_64::{
    __m512bh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::transmute;

use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::linear::pairs::{interleave_step, pairs, panels};
use crate::cpu::linear::product::{Kernel, PackedRows, Scratch};
use crate::cpu::linear::tile::{PANEL, largest};
use crate::cpu::linear::weights::WeightRows;
use tailor_simd::{InstructionSet, instruction_set};

/// `vdpbf16ps` on registers of 512 bits: AMD from Zen 4 on, Intel's Xeons from Cooper Lake on.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu::linear) struct Avx512 {
    /// Private, so that [`Kernel::detect`] alone makes one.
    _detected: (),
}

impl Kernel for Avx512 {
    type X = u32;
    type W = u32;

    /// Asks for all extensions whose instructions the kernel uses.
    fn detect() -> Option<Self> {
        let detected = instruction_set().is_ok_and(|set| set >= InstructionSet::Avx512)
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bf16");
        detected.then_some(Self { _detected: () })
    }

    fn panels(self, rows: &WeightRows<'_>) -> CacheAligned<u32> {
        panels(rows, PANEL, pairs(rows.inputs))
    }

    /// 24 sums of 12 rows by two registers leave room for a panel's row and an activation.
    fn step(self, left: usize) -> usize {
        largest(&[12, 8, 4, 2, 1], left)
    }

    fn width(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    /// Rounds to bf16; rows become columns, `[pairs][rows]`.
    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn wide(x: &[f32], inputs: usize, packed: &mut [u32]) {
            interleave_step(x, inputs, packed);
        }
        // SAFETY: `self` is there, so `detect` has found the instructions.
        unsafe { wide(x, inputs, packed) }
    }

    fn sums(self, x: PackedRows<'_, u32>, panel: &[u32], scratch: &mut Scratch) {
        for (rows, x) in x.steps(|left| self.step(left)) {
            let (count, tile) = (rows.len(), &mut scratch.sums[rows]);
            // SAFETY: `self` is there, so `detect` has found the instructions.
            unsafe {
                match count {
                    12 => product::<12>(x, panel, tile),
                    8 => product::<8>(x, panel, tile),
                    4 => product::<4>(x, panel, tile),
                    2 => product::<2>(x, panel, tile),
                    _ => product::<1>(x, panel, tile),
                }
            }
        }
    }
}

/// `R` rows, `[pairs][R]`, by a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn product<const R: usize>(x: &[u32], panel: &[u32], tile: &mut [[f32; PANEL]]) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (x, weights) in x.as_chunks::<R>().0.iter().zip(panel.as_chunks::<PANEL>().0) {
        // SAFETY: both loads stay within the 32 numbers; 512 bits are 512 bits.
        let [first, second]: [__m512bh; 2] =
            unsafe { [0, 16].map(|half| transmute(_mm512_loadu_si512(weights.as_ptr().add(half).cast()))) };
        for (sums, x) in sums.iter_mut().zip(x) {
            // SAFETY: 512 bits are 512 bits.
            let x: __m512bh = unsafe { transmute(_mm512_set1_epi32(x.cast_signed())) };
            sums[0] = _mm512_dpbf16_ps(sums[0], x, first);
            sums[1] = _mm512_dpbf16_ps(sums[1], x, second);
        }
    }
    for (row, sums) in tile.iter_mut().zip(sums) {
        // SAFETY: both stores stay within the 32 numbers.
        unsafe {
            _mm512_storeu_ps(row.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(row.as_mut_ptr().add(16), sums[1]);
        }
    }
}
