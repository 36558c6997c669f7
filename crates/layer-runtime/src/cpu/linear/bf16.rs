//! The product in bf16 with sums in f32, and which instructions it uses.

use std::ops::Range;
use std::sync::OnceLock;

use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::PANEL;
use super::pack::Row;
use super::product::{self, Kernel};
use super::tile::{MOST_ROWS, OfShape, Sums, largest, steps};
use crate::cpu::interleave::interleave;
use crate::cpu::lines::Lines;

/// The instructions for bf16 products that were chosen at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bf16Kernel(Choice);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Intel's tiles.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// `vdpbf16ps`
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Conversions and multiply-adds in f32: as small in memory, not as fast.
    Portable,
}

impl Bf16Kernel {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        static BEST: OnceLock<Bf16Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::all()[0])
    }

    /// All that this processor has, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(super::x86::Amx::<1>::is_there().then_some(Self(Choice::Amx)));
            all.extend(super::x86::Avx512::is_there().then_some(Self(Choice::Avx512)));
        }
        all.push(Self(Choice::Portable));
        all
    }

    /// The name of its instructions.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Choice::Amx => "AMX-BF16",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512 => "AVX512-BF16",
            Choice::Portable => "none (f32 arithmetic)",
        }
    }

    pub(super) fn choice(self) -> Choice {
        self.0
    }
}

/// Inputs are padded to a multiple of this, a row of a tile of AMX.
const INPUTS: usize = 32;

/// Pairs of a row.
pub(super) fn pairs(inputs: usize) -> usize {
    inputs.next_multiple_of(INPUTS) / 2
}

/// To the nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let nan = u32::from(value.is_nan()) << 6;
    ((bits.wrapping_add(0x7fff + ((bits >> 16) & 1))) >> 16) | nan
}

/// Two neighbouring inputs as a number.
#[inline(always)]
pub(super) fn pair(first: f32, second: f32) -> u32 {
    rounded(first) | rounded(second) << 16
}

/// `[panels][pairs][PANEL]`
pub(super) fn panels(rows: &[[Row<'_>; PANEL]], inputs: usize) -> Lines<u32> {
    let pairs = pairs(inputs);
    let mut panels = Lines::zeroed(rows.len() * pairs * PANEL);
    panels.par_chunks_mut((pairs * PANEL).max(1)).zip(rows).for_each(|(panel, rows)| {
        let pack = |row: &Row<'_>, inputs: Range<usize>, packed: &mut [u32]| match row {
            Row::F32(row) => pack_row(&row[inputs], packed),
            Row::Bf16(row) => pack_bits(&row[inputs], packed, |value| value.to_bits().into()),
        };
        interleave_blocks(rows, inputs, pairs, panel, PANEL, pack);
    });
    panels
}

/// A row in pairs; the padding is zero.
#[inline(always)]
pub(super) fn pack_row(x: &[f32], row: &mut [u32]) {
    pack_bits(x, row, rounded);
}

/// A row in pairs of the bits of its numbers; the padding is zero.
#[inline(always)]
fn pack_bits<T: Copy>(x: &[T], row: &mut [u32], bits: impl Fn(T) -> u32) {
    let (values, rest) = x.as_chunks::<2>();
    let (whole, padding) = row.split_at_mut(values.len());
    for (slot, [first, second]) in whole.iter_mut().zip(values) {
        *slot = bits(*first) | bits(*second) << 16;
    }
    padding.fill(0);
    if let ([last], Some(slot)) = (rest, padding.first_mut()) {
        *slot = bits(*last);
    }
}

/// Rows in pairs, those of a pair of inputs side by side: a block of inputs at a time, so that the rows in pairs need no memory.
#[inline(always)]
fn interleave_blocks<R>(
    rows: &[R],
    inputs: usize,
    pairs: usize,
    to: &mut [u32],
    slots: usize,
    pack: impl Fn(&R, Range<usize>, &mut [u32]),
) {
    let mut block = [[0; BLOCK]; PANEL];
    for start in (0..pairs).step_by(BLOCK) {
        let width = BLOCK.min(pairs - start);
        for (row, packed) in rows.iter().zip(&mut block) {
            pack(row, (2 * start).min(inputs)..(2 * (start + width)).min(inputs), &mut packed[..width]);
        }
        let mut packed: [&[u32]; PANEL] = [&[]; PANEL];
        packed.iter_mut().zip(&block).for_each(|(packed, row)| *packed = &row[..width]);
        interleave(&packed[..rows.len()], &mut to[start * slots..], slots);
    }
}

/// Packs the rows of a step.
#[inline(always)]
pub(super) fn interleave_step(x: &[f32], inputs: usize, packed: &mut [u32]) {
    let pairs = pairs(inputs);
    if x.len() == inputs {
        return pack_row(x, &mut packed[..pairs]);
    }
    let mut rows: [&[f32]; MOST_ROWS] = [&[]; MOST_ROWS];
    let count = x.len() / inputs.max(1);
    rows.iter_mut().zip(x.chunks_exact(inputs.max(1))).for_each(|(row, x)| *row = x);
    interleave_blocks(
        &rows[..count],
        inputs,
        pairs,
        packed,
        count,
        #[inline(always)]
        |row, inputs, packed| pack_row(&row[inputs], packed),
    );
}

/// Pairs that are packed at once.
const BLOCK: usize = 64;

/// The twin of the instructions, for processors without them and for their tests. `vdpbf16ps` adds the product of the second of two
/// inputs first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable {
    arch: Arch,
    steps: &'static [usize],
}

impl Portable {
    pub fn new() -> Self {
        let arch = Arch::new();
        Self { arch, steps: steps(arch) }
    }
}

impl Kernel for Portable {
    type X = u32;
    type W = u32;

    fn step(self, left: usize) -> usize {
        largest(self.steps, left)
    }

    fn width(self, inputs: usize) -> usize {
        pairs(inputs)
    }

    fn pack(self, x: &[f32], inputs: usize, packed: &mut [u32]) {
        interleave_step(x, inputs, packed);
    }

    fn tile(self, x: &[u32], panel: &[u32], rows: usize, tile: &mut [[f32; PANEL]; product::MOST_ROWS]) {
        self.arch.dispatch(OfShape(Tile { x, panel, tile: &mut tile[..rows] }));
    }
}

struct Tile<'a> {
    x: &'a [u32],
    panel: &'a [u32],
    tile: &'a mut [[f32; PANEL]],
}

impl Sums for Tile<'_> {
    fn rows(&self) -> usize {
        self.tile.len()
    }

    #[inline(always)]
    fn sums<S: Simd, const V: usize, const R: usize>(self, simd: S) {
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
