//! Causal attention on the CPU: only the keys that a query sees, keys and values where they stand.
//!
//! The lanes of a register are queries that read the same keys: neighbours of a span, and the heads that share a key head. So keys and values are
//! broadcast from memory as they lie, nothing but the queries is turned, and the softmax of a query runs along its lane.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::blocks::Run;
use super::simd::{LANES, exp, max, sum};
use crate::attention::{AttentionPlan, Span};
use crate::engine::Heads;

/// With fewer lanes than this, a query by itself is faster.
const WORTH_LANES: usize = 6;

/// Packed queries, keys and values.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// `[rows, queries * dim]`
    pub queries: &'a [f32],
    /// `[rows, kv * dim]`
    pub keys: &'a [f32],
    /// `[rows, kv * dim]`
    pub values: &'a [f32],
    pub heads: Heads,
    pub window: Option<usize>,
}

/// What each query of the runs sees, weighted: `[rows, queries * dim]`, the runs one after the other.
pub(super) fn attend(
    inputs: Inputs<'_>,
    plan: &AttentionPlan,
    runs: &[Run],
    mut out: &mut [f32],
    scratch: &mut Scratch,
) {
    let Heads { queries, kv, dim } = inputs.heads;
    for part in runs {
        let (rows, later) = out.split_at_mut(part.count * queries * dim);
        out = later;
        let task = Task { inputs, span: &plan.spans[part.span], first: part.first, rows };
        if part.count * (queries / kv) < WORTH_LANES {
            Arch::new().dispatch(AttendFew { task, scratch });
        } else {
            task.in_lanes(scratch);
        }
    }
}

/// Some queries of a span.
struct Task<'a> {
    inputs: Inputs<'a>,
    span: &'a Span,
    /// The first query, counted within the span.
    first: usize,
    /// Their rows of the result.
    rows: &'a mut [f32],
}

/// What a thread needs from task to task.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[dim][LANES]`, times 1 / sqrt(dim)
    queries: Vec<f32>,
    /// `[keys][LANES]`
    scores: Vec<f32>,
    /// `[dim][LANES]`
    out: Vec<f32>,
}

impl Task<'_> {
    fn in_lanes(self, scratch: &mut Scratch) {
        let Heads { queries, kv, dim } = self.inputs.heads;
        let group = queries / kv;
        let (lanes, scale) = (self.rows.len() / (kv * dim), 1.0 / (dim as f32).sqrt());
        let from = (self.span.queries.start + self.first) * queries * dim;
        let arch = Arch::new();
        scratch.queries.resize(dim * LANES, 0.0);
        scratch.out.resize(dim * LANES, 0.0);
        for kv_head in 0..kv {
            // Lane by lane, the heads of a query that share the key head, then those of the next query.
            let at = |lane: usize| (lane / group) * queries * dim + (kv_head * group + lane % group) * dim;
            for first in (0..lanes).step_by(LANES) {
                let count = LANES.min(lanes - first);
                let turned = &mut scratch.queries;
                for lane in 0..count {
                    let query = &self.inputs.queries[from + at(first + lane)..][..dim];
                    query.iter().zip(turned[lane..].iter_mut().step_by(LANES)).for_each(|(q, to)| *to = q * scale);
                }
                let position = |lane: usize| self.span.start() + self.first + (first + lane) / group;
                let seen = |lane: usize| Span::seen(position(lane.min(count - 1)), self.inputs.window);
                let range = seen(0).start..seen(count - 1).end;
                arch.dispatch(Lanes {
                    inputs: self.inputs,
                    keys: &self.span.keys[range.clone()],
                    kv_head,
                    visible: std::array::from_fn(|lane| seen(lane).start - range.start..seen(lane).end - range.start),
                    queries: &scratch.queries,
                    scores: &mut scratch.scores,
                    out: &mut scratch.out,
                });
                for lane in 0..count {
                    let row = &mut self.rows[at(first + lane)..][..dim];
                    row.iter_mut().zip(scratch.out[lane..].iter().step_by(LANES)).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }
}

/// Up to `LANES` queries against the keys of a head.
struct Lanes<'a> {
    inputs: Inputs<'a>,
    /// Rows of the keys that any of the queries sees.
    keys: &'a [u32],
    kv_head: usize,
    /// Of these, those that each query sees.
    visible: [Range<usize>; LANES],
    queries: &'a [f32],
    scores: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

impl WithSimd for Lanes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.attend::<S, 1, 8, 16>(simd),
            8 => self.attend::<S, 2, 4, 4>(simd),
            4 => self.attend::<S, 4, 4, 4>(simd),
            _ => self.attend::<S, LANES, 1, 1>(simd),
        }
    }
}

impl Lanes<'_> {
    /// `V` registers hold the lanes; `K` keys and `D` columns of values are worked on at a time.
    #[inline(always)]
    fn attend<S: Simd, const V: usize, const K: usize, const D: usize>(self, simd: S) {
        let Heads { kv, dim, .. } = self.inputs.heads;
        let (kv_head, width) = (self.kv_head, kv * dim);
        let row = |row: u32| row as usize * width + kv_head * dim..row as usize * width + (kv_head + 1) * dim;
        self.scores.resize(self.keys.len() * LANES, 0.0);
        let queries = registers::<S, V>(self.queries);

        let (blocks, rest) = self.keys.as_chunks::<K>();
        let (first, last) = self.scores.split_at_mut(blocks.len() * K * LANES);
        for (keys, scores) in blocks.iter().zip(first.chunks_exact_mut(K * LANES)) {
            let mut rows = [self.inputs.keys; K];
            for (of, key) in rows.iter_mut().zip(keys) {
                *of = &self.inputs.keys[row(*key)];
            }
            S::as_mut_simd_f32s(scores).0.copy_from_slice(products::<S, V, K>(simd, rows, queries).as_flattened());
        }
        for (key, scores) in rest.iter().zip(last.chunks_exact_mut(LANES)) {
            let keys = [&self.inputs.keys[row(*key)]];
            S::as_mut_simd_f32s(scores).0.copy_from_slice(products::<S, V, 1>(simd, keys, queries).as_flattened());
        }

        let normalisers = softmax::<S, V>(simd, self.scores, &self.visible);
        let scores = registers::<S, V>(self.scores);
        for start in (0..dim).step_by(D) {
            if start + D <= dim {
                let columns = |key: u32| &self.inputs.values[row(key)][start..start + D];
                let sums = weighted::<S, V, D>(simd, self.keys, columns, scores);
                store(simd, &sums, normalisers, &mut self.out[start * LANES..(start + D) * LANES]);
            } else {
                for column in start..dim {
                    let columns = |key: u32| &self.inputs.values[row(key)][column..=column];
                    let sums = weighted::<S, V, 1>(simd, self.keys, columns, scores);
                    store(simd, &sums, normalisers, &mut self.out[column * LANES..(column + 1) * LANES]);
                }
            }
        }
    }
}

/// The lanes of each place as registers.
#[inline(always)]
fn registers<S: Simd, const V: usize>(values: &[f32]) -> &[[S::f32s; V]] {
    S::as_simd_f32s(values).0.as_chunks::<V>().0
}

/// The queries times `K` keys.
#[inline(always)]
fn products<S: Simd, const V: usize, const K: usize>(
    simd: S,
    keys: [&[f32]; K],
    queries: &[[S::f32s; V]],
) -> [[S::f32s; V]; K] {
    const CHUNK: usize = 8;
    let mut sums = [[simd.splat_f32s(0.0); V]; K];
    let (blocks, rest) = queries.as_chunks::<CHUNK>();
    for (index, queries) in blocks.iter().enumerate() {
        // Slices of a known length, so that no place within needs a check.
        let mut chunks = [&[0.0; CHUNK]; K];
        for (chunk, key) in chunks.iter_mut().zip(&keys) {
            if let Some(found) = key.as_chunks::<CHUNK>().0.get(index) {
                *chunk = found;
            }
        }
        for (i, query) in queries.iter().enumerate() {
            for (sums, chunk) in sums.iter_mut().zip(&chunks) {
                let key = simd.splat_f32s(chunk[i]);
                for (sum, query) in sums.iter_mut().zip(query) {
                    *sum = simd.mul_add_e_f32s(key, *query, *sum);
                }
            }
        }
    }
    for (i, query) in rest.iter().enumerate() {
        for (sums, key) in sums.iter_mut().zip(&keys) {
            let key = simd.splat_f32s(key[blocks.len() * CHUNK + i]);
            for (sum, query) in sums.iter_mut().zip(query) {
                *sum = simd.mul_add_e_f32s(key, *query, *sum);
            }
        }
    }
    sums
}

/// e^(score - max) in place, 0 for what a lane does not see; one by the lanes' sums.
#[inline(always)]
fn softmax<S: Simd, const V: usize>(simd: S, scores: &mut [f32], visible: &[Range<usize>; LANES]) -> [S::f32s; V] {
    hide(scores, visible, f32::MIN);
    let mut highest = [simd.splat_f32s(f32::MIN); V];
    for score in registers::<S, V>(scores) {
        for (high, score) in highest.iter_mut().zip(score) {
            *high = simd.max_f32s(*high, *score);
        }
    }
    let mut tops = [0.0; LANES];
    S::as_mut_simd_f32s(&mut tops).0.copy_from_slice(&highest);
    for scores in scores.as_chunks_mut::<LANES>().0 {
        for (score, top) in scores.iter_mut().zip(&tops) {
            let below = *score - top;
            *score = if S::F32_LANES > 1 { exp::<true>(below) } else { exp::<false>(below) };
        }
    }
    hide(scores, visible, 0.0);
    let mut sums = [simd.splat_f32s(0.0); V];
    for score in registers::<S, V>(scores) {
        for (sum, score) in sums.iter_mut().zip(score) {
            *sum = simd.add_f32s(*sum, *score);
        }
    }
    let one = simd.splat_f32s(1.0);
    for sum in &mut sums {
        *sum = simd.div_f32s(one, *sum);
    }
    sums
}

/// Writes a value where a lane does not see a key. Keys that every lane sees are left alone.
#[inline(always)]
fn hide(scores: &mut [f32], visible: &[Range<usize>; LANES], value: f32) {
    let scores = scores.as_chunks_mut::<LANES>().0;
    let first = visible[LANES - 1].start.min(scores.len());
    let last = visible[0].end.max(first);
    for key in (0..first).chain(last..scores.len()) {
        let scores = &mut scores[key];
        for (score, seen) in scores.iter_mut().zip(visible) {
            *score = if seen.start <= key && key < seen.end { *score } else { value };
        }
    }
}

/// `D` columns of the values, weighted by the lanes' scores.
#[inline(always)]
fn weighted<'a, S: Simd, const V: usize, const D: usize>(
    simd: S,
    keys: &[u32],
    columns: impl Fn(u32) -> &'a [f32],
    scores: &[[S::f32s; V]],
) -> [[S::f32s; V]; D] {
    let mut sums = [[simd.splat_f32s(0.0); V]; D];
    for (key, scores) in keys.iter().zip(scores) {
        let Some(values) = columns(*key).first_chunk::<D>() else { break };
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f32s(*value);
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum = simd.mul_add_e_f32s(value, *score, *sum);
            }
        }
    }
    sums
}

#[inline(always)]
fn store<S: Simd, const V: usize, const D: usize>(
    simd: S,
    sums: &[[S::f32s; V]; D],
    normalisers: [S::f32s; V],
    out: &mut [f32],
) {
    let (out, _) = S::as_mut_simd_f32s(out);
    for (out, sums) in out.chunks_exact_mut(V).zip(sums) {
        for ((out, sum), normaliser) in out.iter_mut().zip(sums).zip(normalisers) {
            *out = simd.mul_f32s(*sum, normaliser);
        }
    }
}

/// A query or two by themselves: the lanes are the columns of a head.
struct AttendFew<'a, 'b> {
    task: Task<'a>,
    scratch: &'b mut Scratch,
}

impl WithSimd for AttendFew<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Task { inputs, span, first, rows } = self.task;
        let Heads { queries, kv, dim } = inputs.heads;
        let (group, scale) = (queries / kv, 1.0 / (dim as f32).sqrt());
        let scores = &mut self.scratch.scores;
        for (i, out) in rows.chunks_exact_mut(queries * dim).enumerate() {
            let seen = &span.keys[Span::seen(span.start() + first + i, inputs.window)];
            let from = (span.queries.start + first + i) * queries * dim;
            let query = inputs.queries[from..from + queries * dim].chunks_exact(dim);
            for (head, (query, out)) in query.zip(out.chunks_exact_mut(dim)).enumerate() {
                let of = |packed, row: u32| head_of(packed, row as usize * kv + head / group, dim);
                scores.resize(seen.len(), 0.0);
                for (score, &row) in scores.iter_mut().zip(seen) {
                    *score = scale * product(simd, query, of(inputs.keys, row));
                }
                let highest = max(scores);
                for score in scores.iter_mut() {
                    let below = *score - highest;
                    *score = if S::F32_LANES > 1 { exp::<true>(below) } else { exp::<false>(below) };
                }
                let normaliser = 1.0 / sum(scores, |score| score);
                mix(simd, seen, |row| of(inputs.values, row), scores, normaliser, out);
            }
        }
    }
}

/// One head of a row, of `[rows * heads, dim]`.
#[inline(always)]
fn head_of(packed: &[f32], place: usize, dim: usize) -> &[f32] {
    &packed[place * dim..(place + 1) * dim]
}

#[inline(always)]
fn product<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.splat_f32s(0.0);
    for (a, b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(*a, *b, sum);
    }
    let mut total = simd.reduce_sum_f32s(sum);
    for (a, b) in a_rest.iter().zip(b_rest) {
        total += a * b;
    }
    total
}

/// The values of the keys, weighted by scores times a normaliser.
#[inline(always)]
fn mix<'a, S: Simd>(
    simd: S,
    keys: &[u32],
    values: impl Fn(u32) -> &'a [f32],
    scores: &[f32],
    normaliser: f32,
    out: &mut [f32],
) {
    let (registers, rest) = S::as_mut_simd_f32s(out);
    let whole = registers.len() * S::F32_LANES;
    let (fours, ones) = registers.as_chunks_mut::<4>();
    for (index, out) in fours.iter_mut().enumerate() {
        *out = mixed::<S, 4>(simd, keys, &values, scores, normaliser, index * 4);
    }
    let done = fours.len() * 4;
    let (twos, ones) = ones.as_chunks_mut::<2>();
    for (index, out) in twos.iter_mut().enumerate() {
        *out = mixed::<S, 2>(simd, keys, &values, scores, normaliser, done + index * 2);
    }
    let done = done + twos.len() * 2;
    for (index, out) in ones.iter_mut().enumerate() {
        [*out] = mixed::<S, 1>(simd, keys, &values, scores, normaliser, done + index);
    }
    for (index, out) in rest.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (&key, score) in keys.iter().zip(scores) {
            sum += values(key)[whole + index] * score;
        }
        *out = sum * normaliser;
    }
}

/// `N` registers of the mixed values, from a register on.
#[inline(always)]
fn mixed<'a, S: Simd, const N: usize>(
    simd: S,
    keys: &[u32],
    values: &impl Fn(u32) -> &'a [f32],
    scores: &[f32],
    normaliser: f32,
    start: usize,
) -> [S::f32s; N] {
    // As many sums side by side as the processor needs to have something to do while it waits for one.
    let mut sums = [[simd.splat_f32s(0.0); N]; 2];
    let ((pairs, last), (weights, rest)) = (keys.as_chunks::<2>(), scores.as_chunks::<2>());
    for (keys, scores) in pairs.iter().zip(weights) {
        for (sums, (key, score)) in sums.iter_mut().zip(keys.iter().zip(scores)) {
            *sums = added(simd, *sums, values(*key), *score, start);
        }
    }
    for (key, score) in last.iter().zip(rest) {
        sums[0] = added(simd, sums[0], values(*key), *score, start);
    }
    let normaliser = simd.splat_f32s(normaliser);
    let [mut mixed, other] = sums;
    for (mixed, other) in mixed.iter_mut().zip(other) {
        *mixed = simd.mul_f32s(simd.add_f32s(*mixed, other), normaliser);
    }
    mixed
}

#[inline(always)]
fn added<S: Simd, const N: usize>(
    simd: S,
    mut sums: [S::f32s; N],
    values: &[f32],
    score: f32,
    start: usize,
) -> [S::f32s; N] {
    let score = simd.splat_f32s(score);
    if let Some(values) = S::as_simd_f32s(values).0[start..].first_chunk::<N>() {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = simd.mul_add_e_f32s(score, *value, *sum);
        }
    }
    sums
}
