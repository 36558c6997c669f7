//! Between the rows of a product `[rows, (queries + 2 kv) * dim]` and heads `[heads, rows, dim]`: the norms of heads
//! (Qwen3), the rotary embedding, and the gradients of both.
//!
//! The gradient of a rotation turns back.

use std::ops::Range;

use super::norm::NormaliseBack;
use tailor_simd::{RmsNorm, Simd, Turn, WithSimd, rotate};

/// A head's norm: its weight `[dim]` and what is added to the mean square.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadNorm<'a> {
    pub weight: &'a [f32],
    pub eps: f32,
}

/// Takes one head out of all rows: `[rows, dim]`, normalised where it has a norm, rotated.
pub(crate) struct TakeHead<'a> {
    /// `[rows, width]`
    pub from: &'a [f32],
    /// Numbers of a row.
    pub width: usize,
    /// The head's columns.
    pub columns: Range<usize>,
    pub norm: Option<HeadNorm<'a>>,
    /// Cosines and sines, `[rows, dim / 2]` each; none for values, which are not rotated.
    pub turns: Option<(&'a [f32], &'a [f32])>,
    /// `[rows, dim]`
    pub out: &'a mut [f32],
}

impl WithSimd for TakeHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dim = self.columns.len();
        let rows = self.from.chunks_exact(self.width).zip(self.out.chunks_exact_mut(dim));
        let mut normed = vec![0.0; if self.norm.is_some() { dim } else { 0 }];
        for (row, (from, out)) in rows.enumerate() {
            let mut head = &from[self.columns.clone()];
            if let Some(HeadNorm { weight, eps }) = self.norm {
                RmsNorm { x: head, weight, eps, out: &mut normed }.with_simd(simd);
                head = &normed;
            }
            match self.turns {
                None => out.copy_from_slice(head),
                Some((cos, sin)) => {
                    let turn = row * dim / 2..(row + 1) * dim / 2;
                    rotate(simd, Turn::Forward, head, out, &cos[turn.clone()], &sin[turn]);
                }
            }
        }
    }
}

/// The gradient of [`TakeHead`] for one row of one head.
pub(crate) struct PutHead<'a> {
    /// Gradient of the rotated head, `[dim]`.
    pub d_head: &'a [f32],
    /// What was taken, `[dim]`, and the norm that it went through.
    pub norm: Option<(&'a [f32], HeadNorm<'a>)>,
    /// Cosines and sines, `[dim / 2]` each.
    pub turn: (&'a [f32], &'a [f32]),
    /// Gradient of what was taken, `[dim]`.
    pub d_from: &'a mut [f32],
    /// Gradient of the norm's weight, added to what is there, `[dim]`; empty without a norm.
    pub d_weight: &'a mut [f32],
    /// Memory, `[dim]`.
    pub scratch: &'a mut [f32],
}

impl WithSimd for PutHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { d_head, norm, turn: (cos, sin), d_from, d_weight, scratch } = self;
        match norm {
            None => rotate(simd, Turn::Back, d_head, d_from, cos, sin),
            Some((x, HeadNorm { weight, eps })) => {
                rotate(simd, Turn::Back, d_head, scratch, cos, sin);
                d_from.fill(0.0);
                NormaliseBack { x, weight, eps, d_out: scratch, d_x: d_from, d_weight }.with_simd(simd);
            }
        }
    }
}
