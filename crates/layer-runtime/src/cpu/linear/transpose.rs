//! Rows to columns, for weights and activations in f32.

use rayon::prelude::*;
use tailor_simd::{Simd, WithSimd, run};

use super::tile::{MOST_ROWS, PANEL};
use super::weights::WeightRows;
use crate::cpu::cache_aligned::CacheAligned;
use crate::cpu::interleave::interleave;

/// Inputs that are transposed at once.
const BLOCK: usize = 128;

/// Panels of weights, `[panels][strips][inputs][strip]`.
pub(super) fn panels(rows: &WeightRows<'_>, strip: usize) -> CacheAligned<f32> {
    let inputs = rows.inputs;
    let mut panels = CacheAligned::zeroed(rows.panels.len() * inputs * PANEL);
    panels.par_chunks_mut((inputs * strip).max(1)).zip(rows.strips(strip)).for_each(|(to, rows)| {
        let mut block = [[0.0; BLOCK]; PANEL];
        for start in (0..inputs).step_by(BLOCK) {
            let width = BLOCK.min(inputs - start);
            for (row, block) in rows.iter().zip(&mut block) {
                row.read(start..start + width, &mut block[..width]);
            }
            let mut turned: [&[f32]; PANEL] = [&[]; PANEL];
            turned.iter_mut().zip(&block).for_each(|(turned, row)| *turned = &row[..width]);
            run(Interleave { rows: &turned[..strip], to: &mut to[start * strip..], slots: strip });
        }
    });
    panels
}

/// The rows of a step, `x` being `[rows, inputs]` of [`MOST_ROWS`] rows at most, to `[inputs][rows]`.
#[inline(always)]
pub(super) fn rows(x: &[f32], inputs: usize, packed: &mut [f32], count: usize) {
    let mut rows: [&[f32]; MOST_ROWS] = [&[]; MOST_ROWS];
    rows.iter_mut().zip(x.chunks_exact(inputs.max(1))).for_each(|(row, x)| *row = x);
    interleave(&rows[..count], packed, count);
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
