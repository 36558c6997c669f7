//! Two bf16 numbers in one `u32`: the layout that all bf16 kernels read.
//!
//! Two neighbouring inputs form a pair, the first one in the lower half. Panels are
//! `[panels][strips][pairs][strip]`, of one strip or several. With one it is the layout of `vdpbf16ps` and of
//! `tdpbf16ps`, which multiply the two halves of a pair and add both products to one sum.

use std::ops::Range;

use rayon::prelude::*;
use tailor_simd::{Simd, update};

#[cfg(target_arch = "x86_64")]
use super::tile::MOST_ROWS;
use super::tile::PANEL;
use super::weights::{WeightRow, WeightRows};
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::interleave::interleave;

/// Inputs are padded to a multiple of this many, a row of an AMX tile.
#[cfg(target_arch = "x86_64")]
const INPUTS: usize = 32;

/// Pairs that are packed at once.
const BLOCK: usize = 64;

/// Pairs of a row of `inputs` numbers, with the padding.
#[cfg(target_arch = "x86_64")]
pub(super) fn pairs(inputs: usize) -> usize {
    inputs.next_multiple_of(INPUTS) / 2
}

/// The bits of the nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let nan = u32::from(value.is_nan()) << 6;
    ((bits.wrapping_add(0x7fff + ((bits >> 16) & 1))) >> 16) | nan
}

/// A pair of two numbers, each rounded to bf16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn pair(first: f32, second: f32) -> u32 {
    rounded(first) | rounded(second) << 16
}

/// Numbers rounded to bf16, in f32: the nearest, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn round<S: Simd>(simd: S, numbers: &mut [f32]) {
    update(
        simd,
        numbers,
        [],
        #[inline(always)]
        |number, []| {
            let bits = simd.transmute_u32s_f32s(number);
            let odd = simd.and_u32s(simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16)), simd.splat_u32s(1));
            let half = simd.add_u32s(odd, simd.splat_u32s(0x7fff));
            let rounded = simd.and_u32s(simd.add_u32s(bits, half), simd.splat_u32s(0xffff_0000));
            let is_number = simd.equal_f32s(number, number);
            simd.select_f32s(is_number, simd.transmute_f32s_u32s(rounded), number)
        },
    );
}

/// Panels of weights in strips of so many pairs, `[panels][strips][pairs][strip]`.
pub(super) fn panels(rows: &WeightRows<'_>, strip: usize, pairs: usize) -> CacheAligned<u32> {
    let mut panels = CacheAligned::zeroed(rows.panels.len() * pairs * PANEL);
    panels.par_chunks_mut((pairs * strip).max(1)).zip(rows.strips(strip)).for_each(|(to, strip_rows)| {
        let pack = |row: &WeightRow<'_>, inputs: Range<usize>, packed: &mut [u32]| match row {
            WeightRow::F32(row) => pack_row(&row[inputs], packed),
            WeightRow::Bf16(row) => pack_bits(&row[inputs], packed, |value| value.to_bits().into()),
        };
        interleave_blocks(strip_rows, rows.inputs, pairs, to, strip, pack);
    });
    panels
}

/// A row of activations in pairs; the padding is zero.
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

/// Rows in pairs, the rows' numbers of a pair side by side: a block of inputs at a time, so that the packed rows need
/// no memory.
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

/// Packs the rows of a step, `x` being `[rows, inputs]` of [`MOST_ROWS`] rows at most, to `[pairs][rows]`.
#[cfg(target_arch = "x86_64")]
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
