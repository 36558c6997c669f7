//! What happens to queries, keys and values between the products: norms of heads, rotation.

use tailor_simd::{Simd, Turn, WithSimd, inverse_rms, rotate, update};

use crate::weights::Heads;

/// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the heads of the first two by their
/// positions.
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
    let dim = 2 * cos.len();
    for (from, to) in from.chunks_exact(dim).zip(to.chunks_exact_mut(dim)) {
        rotate(simd, Turn::Forward, from, to, cos, sin);
    }
}
