//! Causal attention within each sequence, and its gradient, block by block of queries; no matrix of a whole sequence's
//! scores is kept.
//!
//! With `P = softmax(scale Q K^T)` over the keys that a query sees and `O = P V`:
//! `dV = P^T dO`, `dP = dO V^T`, `dS = P (dP - rowsum(P dP)) scale`, `dQ = dS K`, `dK = dS^T Q`; P is computed anew
//! from Q and K (Dao et al. 2022, FlashAttention, <https://arxiv.org/abs/2205.14135>, appendix B.2).

use std::ops::Range;

use rayon::prelude::*;

use crate::buffers::Buffers;
use tailor_simd::{Matrix, Simd, Store, WithSimd, exp, max, product, run, sum, sum_of_products, update};

/// Queries of a block: few, so that little is computed beyond the diagonal.
const QUERIES: usize = 64;

/// How many heads there are, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; a divisor of the query heads.
    pub kv: usize,
    /// Numbers of a head.
    pub dim: usize,
}

/// What attention reads: all after norms and rotation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a> {
    /// `[queries, rows, dim]`
    pub q: &'a [f32],
    /// `[kv, rows, dim]`
    pub k: &'a [f32],
    /// `[kv, rows, dim]`
    pub v: &'a [f32],
    pub heads: Heads,
    /// Rows of all sequences.
    pub rows: usize,
    /// Which rows each sequence has.
    pub sequences: &'a [Range<usize>],
    /// Query `i` sees key `j <= i` if `i - j < window`.
    pub window: Option<usize>,
}

/// Gradients of what attention reads, of the same shapes.
pub(crate) struct AttentionGradients<'a> {
    pub d_q: &'a mut [f32],
    pub d_k: &'a mut [f32],
    pub d_v: &'a mut [f32],
}

impl Attention<'_> {
    /// What each query head gathers, `[queries, rows, dim]`.
    pub fn forward(&self, out: &mut [f32], buffers: &Buffers) {
        let Heads { queries, kv, dim } = self.heads;
        let mut units = Vec::new();
        for (head, out) in out.chunks_exact_mut(self.rows * dim).enumerate() {
            let parts = split(out, self.sequences, dim);
            units.extend(parts.into_iter().zip(self.sequences).map(|(out, sequence)| (head, sequence, out)));
        }
        units.into_par_iter().with_max_len(1).for_each(|(head, sequence, out)| {
            let [q, k, v] = self.of_sequence(head, head / (queries / kv), sequence);
            for block in blocks(sequence.len()) {
                let keys = self.keys(&block);
                let mut weights = buffers.take(block.len() * keys.len());
                self.weights(&q[block.start * dim..block.end * dim], k, &block, &keys, &mut weights);
                let seen = Matrix::new(&v[keys.start * dim..keys.end * dim], dim);
                let out = &mut out[block.start * dim..block.end * dim];
                product(out, dim, Store::Set, Matrix::new(&weights, keys.len()), seen);
                buffers.give([weights]);
            }
        });
    }

    /// The gradients, from that of the result, `[rows, queries * dim]`, row-major.
    pub fn backward(&self, d_out: &[f32], into: AttentionGradients<'_>, buffers: &Buffers) {
        let Heads { queries, kv, dim } = self.heads;
        let group = queries / kv;
        let mut units = Vec::new();
        let d_kv = into.d_k.chunks_exact_mut(self.rows * dim).zip(into.d_v.chunks_exact_mut(self.rows * dim));
        let mut d_q = into.d_q.chunks_exact_mut(self.rows * dim).map(|head| split(head, self.sequences, dim));
        for (kv_head, (d_k, d_v)) in d_kv.enumerate() {
            let mut of_group: Vec<_> = d_q.by_ref().take(group).map(Vec::into_iter).collect();
            let parts = split(d_k, self.sequences, dim).into_iter().zip(split(d_v, self.sequences, dim));
            for (sequence, (d_k, d_v)) in self.sequences.iter().zip(parts) {
                let d_q: Vec<&mut [f32]> = of_group.iter_mut().filter_map(Iterator::next).collect();
                units.push((kv_head, sequence, d_q, d_k, d_v));
            }
        }
        units.into_par_iter().with_max_len(1).for_each(|(kv_head, sequence, d_q, d_k, d_v)| {
            d_k.fill(0.0);
            d_v.fill(0.0);
            for (member, d_q) in d_q.into_iter().enumerate() {
                let head = kv_head * group + member;
                let width = queries * dim;
                let d_out = HeadColumns { rows: &d_out[sequence.start * width..], first: head * dim, width };
                self.backward_of_head(head, kv_head, sequence, d_out, [d_q, d_k, d_v], buffers);
            }
        });
    }

    /// The gradients of one query head within one sequence: that of the queries `[length, dim]` is set, those of keys
    /// and values are added to.
    fn backward_of_head(
        &self,
        head: usize,
        kv_head: usize,
        sequence: &Range<usize>,
        d_out: HeadColumns<'_>,
        [d_q, d_k, d_v]: [&mut [f32]; 3],
        buffers: &Buffers,
    ) {
        let dim = self.heads.dim;
        let [q, k, v] = self.of_sequence(head, kv_head, sequence);
        for block in blocks(sequence.len()) {
            let keys = self.keys(&block);
            let (queries, seen) = (block.start * dim..block.end * dim, keys.start * dim..keys.end * dim);
            let mut weights = buffers.take(block.len() * keys.len());
            let mut d_weights = buffers.take(block.len() * keys.len());
            self.weights(&q[queries.clone()], k, &block, &keys, &mut weights);
            let first = block.start * d_out.width + d_out.first;
            let d_rows = Matrix::strided(&d_out.rows[first..], block.len(), dim, d_out.width);
            let probabilities = Matrix::new(&weights, keys.len());
            product(&mut d_v[seen.clone()], dim, Store::Add, probabilities.transposed(), d_rows);
            let values = Matrix::new(&v[seen.clone()], dim).transposed();
            product(&mut d_weights, keys.len(), Store::Set, d_rows, values);
            let scale = self.scale();
            run(SoftmaxBack { weights: &weights, d_weights: &mut d_weights, columns: keys.len(), scale });
            let d_scores = Matrix::new(&d_weights, keys.len());
            product(&mut d_q[queries.clone()], dim, Store::Set, d_scores, Matrix::new(&k[seen.clone()], dim));
            product(&mut d_k[seen], dim, Store::Add, d_scores.transposed(), Matrix::new(&q[queries], dim));
            buffers.give([weights, d_weights]);
        }
    }

    /// The softmax over the keys that a block of queries sees, `[block, keys]`; 0 for the others.
    fn weights(&self, q: &[f32], k: &[f32], block: &Range<usize>, keys: &Range<usize>, out: &mut [f32]) {
        let dim = self.heads.dim;
        let seen = Matrix::new(&k[keys.start * dim..keys.end * dim], dim).transposed();
        product(out, keys.len(), Store::Set, Matrix::new(q, dim), seen);
        let window = self.window.unwrap_or(usize::MAX);
        run(Softmax {
            scores: out,
            columns: keys.len(),
            query: block.start,
            key: keys.start,
            window,
            scale: self.scale(),
        });
    }

    /// The keys that some query of a block sees.
    fn keys(&self, block: &Range<usize>) -> Range<usize> {
        let first = self.window.map_or(0, |window| (block.start + 1).saturating_sub(window));
        first..block.end
    }

    /// What scores are multiplied by: `1 / sqrt(dim)`.
    fn scale(&self) -> f32 {
        (1.0 / (self.heads.dim as f64).sqrt()) as f32
    }

    /// Queries, keys and values of a head within a sequence, `[length, dim]` each.
    fn of_sequence(&self, head: usize, kv_head: usize, sequence: &Range<usize>) -> [&[f32]; 3] {
        let dim = self.heads.dim;
        let of = |head: usize| (head * self.rows + sequence.start) * dim..(head * self.rows + sequence.end) * dim;
        [&self.q[of(head)], &self.k[of(kv_head)], &self.v[of(kv_head)]]
    }
}

/// A head's columns of a row-major matrix.
#[derive(Clone, Copy)]
struct HeadColumns<'a> {
    rows: &'a [f32],
    first: usize,
    width: usize,
}

/// The pieces of a head's rows that belong to each sequence.
fn split<'a>(mut rows: &'a mut [f32], sequences: &[Range<usize>], dim: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let (part, rest) = rows.split_at_mut(sequence.len() * dim);
        parts.push(part);
        rows = rest;
    }
    parts
}

/// Blocks of queries of a sequence.
fn blocks(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(QUERIES).map(move |start| start..length.min(start + QUERIES))
}

/// Scores become weights, row by row, in place.
struct Softmax<'a> {
    /// `[queries, columns]`
    scores: &'a mut [f32],
    columns: usize,
    /// The position of the first row.
    query: usize,
    /// The position of the first column.
    key: usize,
    window: usize,
    scale: f32,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        for (row, scores) in self.scores.chunks_exact_mut(self.columns).enumerate() {
            let position = self.query + row;
            let end = position + 1 - self.key;
            let start = (position + 1).saturating_sub(self.window).saturating_sub(self.key);
            scores[..start].fill(0.0);
            scores[end..].fill(0.0);
            let seen = &mut scores[start..end];
            let highest = simd.splat_f32s(-self.scale * max(simd, seen));
            update(
                simd,
                seen,
                [],
                #[inline(always)]
                |score, []| exp(simd, simd.mul_add_e_f32s(score, scale, highest)),
            );
            let all = sum(
                simd,
                seen,
                #[inline(always)]
                |weight| weight,
            );
            let share = simd.splat_f32s(1.0 / all);
            update(
                simd,
                seen,
                [],
                #[inline(always)]
                |weight, []| simd.mul_f32s(weight, share),
            );
        }
    }
}

/// The gradient of [`Softmax`]: that of the weights becomes that of the products of queries and keys, in place.
struct SoftmaxBack<'a> {
    /// `[queries, columns]`
    weights: &'a [f32],
    /// `[queries, columns]`
    d_weights: &'a mut [f32],
    columns: usize,
    scale: f32,
}

impl WithSimd for SoftmaxBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.weights.chunks_exact(self.columns).zip(self.d_weights.chunks_exact_mut(self.columns));
        let scale = simd.splat_f32s(self.scale);
        for (weights, d_weights) in rows {
            let mean = simd.splat_f32s(sum_of_products(simd, [weights, d_weights]));
            update(
                simd,
                d_weights,
                [weights],
                #[inline(always)]
                |d, [weight]| simd.mul_f32s(simd.mul_f32s(weight, scale), simd.sub_f32s(d, mean)),
            );
        }
    }
}
