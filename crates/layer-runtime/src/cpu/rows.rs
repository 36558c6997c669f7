//! Kernels on rows between the products: norms, rotations, scores.

use super::simd::{Kernel, exp, fma, map, max, sum};
use crate::engine::{Heads, Target, TargetScore};

/// `x / sqrt(mean(x^2) + eps) * weight`, each row by itself.
pub(super) struct RmsNorm<'a> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub eps: f32,
    pub out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let scale = inverse_rms(x, self.eps);
            map(out, [x, self.weight], |[x, weight]| x * scale * weight);
        }
    }
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum(x, |value| value * value) / x.len() as f32 + eps).sqrt()
}

/// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the first two by their positions:
/// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of each head, as Hugging Face does.
pub(super) struct Rotate<'a> {
    pub qkv: &'a [f32],
    pub heads: Heads,
    /// Weights and epsilon of Qwen3's norms over each head's query and key.
    pub norms: Option<(&'a [f32], &'a [f32], f32)>,
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    pub q: &'a mut [f32],
    pub k: &'a mut [f32],
    pub v: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Heads { queries, kv, dim } = self.heads;
        let (q_width, kv_width) = (queries * dim, kv * dim);
        let turns = self.cos.chunks_exact(dim / 2).zip(self.sin.chunks_exact(dim / 2));
        let rows = self.qkv.chunks_exact(q_width + 2 * kv_width).zip(turns);
        let outputs = self.q.chunks_exact_mut(q_width).zip(self.k.chunks_exact_mut(kv_width));
        for (((qkv, (cos, sin)), (q, k)), v) in rows.zip(outputs).zip(self.v.chunks_exact_mut(kv_width)) {
            let (from_q, rest) = qkv.split_at(q_width);
            let (from_k, from_v) = rest.split_at(kv_width);
            let (query, key) = match self.norms {
                None => (None, None),
                Some((query, key, eps)) => (Some((query, eps)), Some((key, eps))),
            };
            turn::<FUSED>(from_q, q, dim, query, cos, sin);
            turn::<FUSED>(from_k, k, dim, key, cos, sin);
            map(v, [from_v], |[value]| value);
        }
    }
}

/// Norms and turns the heads of one row.
#[inline(always)]
fn turn<const FUSED: bool>(
    from: &[f32],
    to: &mut [f32],
    dim: usize,
    norm: Option<(&[f32], f32)>,
    cos: &[f32],
    sin: &[f32],
) {
    for (from, to) in from.chunks_exact(dim).zip(to.chunks_exact_mut(dim)) {
        // A norm scales each number by itself, so it happens on the way.
        let (scale, weight) = match norm {
            None => (1.0, None),
            Some((weight, eps)) => (inverse_rms(from, eps), Some(weight)),
        };
        let half = dim / 2;
        let ((a, b), (first, second)) = (from.split_at(half), to.split_at_mut(half));
        match weight {
            None => {
                map(first, [a, b, cos, sin], |[a, b, cos, sin]| fma::<FUSED>(a, cos, -b * sin));
                map(second, [a, b, cos, sin], |[a, b, cos, sin]| fma::<FUSED>(b, cos, a * sin));
            }
            Some(weight) => {
                let (u, v) = weight.split_at(half);
                map(first, [a, b, cos, sin, u, v], |[a, b, cos, sin, u, v]| {
                    fma::<FUSED>(a * scale * u, cos, -(b * scale * v) * sin)
                });
                map(second, [a, b, cos, sin, u, v], |[a, b, cos, sin, u, v]| {
                    fma::<FUSED>(b * scale * v, cos, a * scale * u * sin)
                });
            }
        }
    }
}

/// Targets of one row of logits.
pub(super) struct Score<'a> {
    pub logits: &'a [f32],
    pub targets: &'a [Target],
}

impl Kernel for Score<'_> {
    type Output = Vec<TargetScore>;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> Vec<TargetScore> {
        let highest = max(self.logits);
        let normaliser = sum(self.logits, |logit| exp::<FUSED>(logit - highest)).ln() + highest;
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

impl Kernel for MostLikely<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> u32 {
        let highest = max(self.0);
        self.0.iter().position(|logit| *logit == highest).unwrap_or(0) as u32
    }
}
