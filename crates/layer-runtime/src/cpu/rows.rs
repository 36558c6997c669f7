//! Kernels on rows between the products: norms, rotations, scores.
//!
//! Each is a type that holds its operands and runs by [`run`](super::simd::run) on registers of any width.

use pulp::{Simd, WithSimd};

use super::simd::{exp, map, max, sum, update};
use crate::engine::{Target, TargetScore};
use crate::weights::Heads;

/// `x / sqrt(mean(x^2) + eps) * weight`, each row by itself.
pub(super) struct RmsNorm<'a> {
    /// `[rows, width]`
    pub x: &'a [f32],
    /// `[width]`
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
    /// `[rows, width]`
    pub out: &'a mut [f32],
}

impl WithSimd for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let scale = simd.splat_f32s(inverse_rms(simd, x, self.eps));
            map(
                simd,
                out,
                [x, self.weight],
                #[inline(always)]
                |[x, weight]| simd.mul_f32s(simd.mul_f32s(x, scale), weight),
            );
        }
    }
}

/// `1 / sqrt(mean(x^2) + eps)`
#[inline(always)]
fn inverse_rms<S: Simd>(simd: S, x: &[f32], eps: f32) -> f32 {
    let squares = sum(
        simd,
        x,
        #[inline(always)]
        |value| simd.mul_f32s(value, value),
    );
    1.0 / (squares / x.len() as f32 + eps).sqrt()
}

/// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the first two by their positions:
/// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of each head, as Hugging Face does.
pub(super) struct Rotate<'a> {
    /// `[rows, (queries + 2 kv) * dim]`; used up.
    pub qkv: &'a mut [f32],
    /// Their numbers and size.
    pub heads: Heads,
    /// Weights and epsilon of Qwen3's norms over each head's query and key.
    pub norms: Option<(&'a [f32], &'a [f32], f32)>,
    /// `[rows, dim / 2]`
    pub cos: &'a [f32],
    /// `[rows, dim / 2]`
    pub sin: &'a [f32],
    /// `[rows, queries * dim]`
    pub q: &'a mut [f32],
    /// `[rows, kv * dim]`
    pub k: &'a mut [f32],
    /// `[rows, kv * dim]`
    pub v: &'a mut [f32],
}

impl WithSimd for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Heads { queries, kv, dim } = self.heads;
        let (q_width, kv_width) = (queries * dim, kv * dim);
        let turns = self.cos.chunks_exact(dim / 2).zip(self.sin.chunks_exact(dim / 2));
        let rows = self.qkv.chunks_exact_mut(q_width + 2 * kv_width).zip(turns);
        let outputs = self.q.chunks_exact_mut(q_width).zip(self.k.chunks_exact_mut(kv_width));
        for (((qkv, turns), (q, k)), v) in rows.zip(outputs).zip(self.v.chunks_exact_mut(kv_width)) {
            let (from_q, rest) = qkv.split_at_mut(q_width);
            let (from_k, from_v) = rest.split_at_mut(kv_width);
            if let Some((query, key, eps)) = self.norms {
                norm(simd, from_q, query, eps);
                norm(simd, from_k, key, eps);
            }
            turn(simd, from_q, q, turns);
            turn(simd, from_k, k, turns);
            v.copy_from_slice(from_v);
        }
    }
}

/// The norm of each head of a row, in place.
#[inline(always)]
fn norm<S: Simd>(simd: S, heads: &mut [f32], weight: &[f32], eps: f32) {
    for head in heads.chunks_exact_mut(weight.len()) {
        let scale = simd.splat_f32s(inverse_rms(simd, head, eps));
        update(
            simd,
            head,
            [weight],
            #[inline(always)]
            |value, [weight]| simd.mul_f32s(simd.mul_f32s(value, scale), weight),
        );
    }
}

/// Turns the heads of a row by the cosines and sines of its position.
#[inline(always)]
fn turn<S: Simd>(simd: S, from: &[f32], to: &mut [f32], (cos, sin): (&[f32], &[f32])) {
    let half = cos.len();
    for (from, to) in from.chunks_exact(2 * half).zip(to.chunks_exact_mut(2 * half)) {
        let ((a, b), (first, second)) = (from.split_at(half), to.split_at_mut(half));
        let with = [a, b, cos, sin];
        map(
            simd,
            first,
            with,
            #[inline(always)]
            |[a, b, cos, sin]| simd.mul_add_e_f32s(a, cos, simd.mul_f32s(simd.neg_f32s(b), sin)),
        );
        map(
            simd,
            second,
            with,
            #[inline(always)]
            |[a, b, cos, sin]| simd.mul_add_e_f32s(b, cos, simd.mul_f32s(a, sin)),
        );
    }
}

/// The scores of the targets of one row of logits.
pub(super) struct TargetScores<'a> {
    /// `[vocabulary]`
    pub logits: &'a [f32],
    /// Of this row.
    pub targets: &'a [Target],
}

impl WithSimd for TargetScores<'_> {
    type Output = Vec<TargetScore>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<TargetScore> {
        let highest = max(simd, self.logits);
        let top = simd.splat_f32s(highest);
        let sum = sum(
            simd,
            self.logits,
            #[inline(always)]
            |logit| exp(simd, simd.sub_f32s(logit, top)),
        );
        let normaliser = sum.ln() + highest;
        let score = |target: &Target| {
            let token = target.token as usize;
            let logit = self.logits[token];
            let greedy = logit == highest && self.logits[..token].iter().all(|before| *before < highest);
            TargetScore { log_probability: logit - normaliser, greedy }
        };
        self.targets.iter().map(score).collect()
    }
}

/// The lowest id of the largest logits of a row.
pub(super) struct MostLikely<'a>(pub &'a [f32]);

impl WithSimd for MostLikely<'_> {
    type Output = u32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> u32 {
        let highest = max(simd, self.0);
        self.0.iter().position(|logit| *logit == highest).unwrap_or(0) as u32
    }
}
