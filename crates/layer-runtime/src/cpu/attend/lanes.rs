//! Many queries at a time, a lane of the registers each.
//!
//! The lanes are queries that read the same keys: neighbours of a span, and the heads that share a key head. So keys
//! and values are broadcast from memory as they lie, only the queries are transposed, and the softmax of a query runs
//! along its lane.

use std::ops::Range;

use tailor_simd::{Simd, WithSimd, exp, map, run, update};

use super::AttentionTask;
use crate::cpu::interleave::interleave;

/// Lanes that are worth a register of AVX-512, two of AVX2, four of NEON.
const LANES: usize = 16;
/// The most lanes, two registers of AVX-512: each number that is read of a key or value is used twice.
const MOST_LANES: usize = 2 * LANES;
/// Keys whose scores and values stay in the first cache while the columns of a head are worked on.
const CACHED_KEYS: usize = 64;

/// Intermediate results, kept from run to run.
#[derive(Debug, Default)]
pub(super) struct LaneBuffers {
    /// `[dim][lanes]`
    queries: Vec<f32>,
    /// `[keys][lanes]`
    scores: Vec<f32>,
    /// `[dim][lanes]`
    mixed: Vec<f32>,
    /// `[lanes][dim]`
    transposed: Vec<f32>,
}

/// Computes the rows of the result, `[queries of the task, heads * dim]`.
pub(super) fn attend(task: AttentionTask<'_>, rows: &mut [f32], buffers: &mut LaneBuffers) {
    for kv_head in 0..task.inputs.heads.kv {
        for first in (0..task.lanes()).step_by(MOST_LANES) {
            let lanes = first..task.lanes().min(first + MOST_LANES);
            if lanes.len() > LANES {
                run(Lanes::<MOST_LANES>::new(task, kv_head, lanes, rows, buffers));
            } else {
                run(Lanes::<LANES>::new(task, kv_head, lanes, rows, buffers));
            }
        }
    }
}

/// Up to `N` queries against the keys of a head.
struct Lanes<'a, const N: usize> {
    task: AttentionTask<'a>,
    /// The head of keys and values that all of them read.
    kv_head: usize,
    /// Which of the task's lanes.
    lanes: Range<usize>,
    /// Rows of the keys that any of the queries sees.
    keys: &'a [u32],
    /// The first of these that each query sees.
    starts: [u32; N],
    /// The one behind the last that each query sees.
    ends: [u32; N],
    /// All rows of the result.
    rows: &'a mut [f32],
    buffers: &'a mut LaneBuffers,
}

impl<'a, const N: usize> Lanes<'a, N> {
    /// The lanes `lanes` of a task, at most `N`, for one key head.
    fn new(
        task: AttentionTask<'a>,
        kv_head: usize,
        lanes: Range<usize>,
        rows: &'a mut [f32],
        buffers: &'a mut LaneBuffers,
    ) -> Self {
        let (first, last) = (task.seen(lanes.start), task.seen(lanes.end - 1));
        let (mut starts, mut ends) = ([0; N], [0; N]);
        for (place, (start, end)) in starts.iter_mut().zip(&mut ends).enumerate() {
            let seen = task.seen((lanes.start + place).min(lanes.end - 1));
            (*start, *end) = ((seen.start - first.start) as u32, (seen.end - first.start) as u32);
        }
        Self { task, kv_head, lanes, keys: &task.span.keys[first.start..last.end], starts, ends, rows, buffers }
    }
}

impl<const N: usize> WithSimd for Lanes<'_, N> {
    type Output = ();

    /// Chooses how many keys and columns are worked on at once, by what fits the registers beside the lanes: with 512
    /// bits 32 registers of 16 numbers, else 16 of 8 or 4.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, N / S::F32_LANES) {
            (16, 2) => self.attend::<S, 2, 8, 8>(simd),
            (16, _) => self.attend::<S, 1, 8, 16>(simd),
            (8, 4) => self.attend::<S, 4, 2, 2>(simd),
            (8, _) => self.attend::<S, 2, 4, 4>(simd),
            (4, 8) => self.attend::<S, 8, 2, 2>(simd),
            (4, _) => self.attend::<S, 4, 4, 4>(simd),
            _ => self.attend::<S, N, 1, 1>(simd),
        }
    }
}

impl<const N: usize> Lanes<'_, N> {
    /// `V` registers hold the lanes; `K` keys and `D` columns of values are worked on at a time.
    #[inline(always)]
    fn attend<S: Simd, const V: usize, const K: usize, const D: usize>(mut self, simd: S) {
        self.transpose_queries(simd);
        self.score::<S, V, K>(simd);
        let normalisers = self.softmax::<S, V>(simd);
        self.mix::<S, V, D>(simd);
        self.store(simd, normalisers);
    }

    /// The queries, times `1 / sqrt(dim)`, side by side: `[dim][lanes]`.
    #[inline(always)]
    fn transpose_queries<S: Simd>(&mut self, simd: S) {
        let (task, queries) = (self.task, &mut self.buffers.queries);
        queries.resize(task.inputs.heads.dim * N, 0.0);
        let mut rows = [&[][..]; N];
        for (row, lane) in rows.iter_mut().zip(self.lanes.clone()) {
            *row = task.query(self.kv_head, lane);
        }
        interleave(&rows[..self.lanes.len()], queries, N);
        let scale = simd.splat_f32s(task.scale());
        update(
            simd,
            queries,
            [],
            #[inline(always)]
            |query, []| simd.mul_f32s(query, scale),
        );
    }

    /// Writes the lanes, times their normalisers, to their rows.
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, normalisers: [f32; N]) {
        let (task, dim) = (self.task, self.task.inputs.heads.dim);
        let LaneBuffers { mixed, transposed, .. } = &mut *self.buffers;
        transposed.resize(N * dim, 0.0);
        interleave(mixed.as_chunks::<N>().0, transposed, dim);
        for ((lane, values), normaliser) in self.lanes.clone().zip(transposed.chunks_exact(dim)).zip(normalisers) {
            let normaliser = simd.splat_f32s(normaliser);
            let row = &mut self.rows[task.place(self.kv_head, lane)];
            map(
                simd,
                row,
                [values],
                #[inline(always)]
                |[value]| simd.mul_f32s(value, normaliser),
            );
        }
    }

    /// Queries times keys: `[keys][lanes]`.
    #[inline(always)]
    fn score<S: Simd, const V: usize, const K: usize>(&mut self, simd: S) {
        let (task, kv_head, packed) = (self.task, self.kv_head, self.task.inputs.keys);
        let LaneBuffers { queries, scores, .. } = &mut *self.buffers;
        let queries = registers::<S, V>(queries);
        scores.resize(self.keys.len() * N, 0.0);
        let (blocks, rest) = self.keys.as_chunks::<K>();
        for (index, keys) in blocks.iter().enumerate() {
            let mut rows = [packed; K];
            for (of, key) in rows.iter_mut().zip(keys) {
                *of = task.head(packed, kv_head, *key);
            }
            let scores = &mut scores[index * K * N..(index + 1) * K * N];
            S::as_mut_simd_f32s(scores).0.copy_from_slice(products::<S, V, K>(simd, rows, queries).as_flattened());
        }
        for (index, key) in rest.iter().enumerate() {
            let rows = [task.head(packed, kv_head, *key)];
            let scores = &mut scores[(blocks.len() * K + index) * N..][..N];
            S::as_mut_simd_f32s(scores).0.copy_from_slice(products::<S, V, 1>(simd, rows, queries).as_flattened());
        }
    }

    /// Replaces the scores by `e^(score - max)`, and by 0 where a lane does not see a key. Returns `1 / sum` of each
    /// lane.
    #[inline(always)]
    fn softmax<S: Simd, const V: usize>(&mut self, simd: S) -> [f32; N] {
        self.hide(f32::MIN);
        let mut highest = [simd.splat_f32s(f32::MIN); V];
        for score in registers::<S, V>(&self.buffers.scores) {
            for (high, score) in highest.iter_mut().zip(score) {
                *high = simd.max_f32s(*high, *score);
            }
        }
        let mut sums = [simd.splat_f32s(0.0); V];
        for score in S::as_mut_simd_f32s(&mut self.buffers.scores).0.as_chunks_mut::<V>().0 {
            for ((score, sum), high) in score.iter_mut().zip(&mut sums).zip(highest) {
                *score = exp(simd, simd.sub_f32s(*score, high));
                *sum = simd.add_f32s(*sum, *score);
            }
        }
        self.hide(0.0);
        let mut normalisers = [1.0; N];
        for (normaliser, sum) in S::as_mut_simd_f32s(&mut normalisers).0.iter_mut().zip(sums) {
            *normaliser = simd.div_f32s(*normaliser, sum);
        }
        normalisers
    }

    /// Writes a value where a lane does not see a key. Keys that every lane sees are left alone.
    #[inline(always)]
    fn hide(&mut self, value: f32) {
        let scores = self.buffers.scores.as_chunks_mut::<N>().0;
        let first = (self.starts[N - 1] as usize).min(scores.len());
        let last = (self.ends[0] as usize).max(first);
        for key in (0..first).chain(last..scores.len()) {
            let (scores, at) = (&mut scores[key], key as u32);
            for (score, (start, end)) in scores.iter_mut().zip(self.starts.iter().zip(&self.ends)) {
                *score = if (*start <= at) & (at < *end) { *score } else { value };
            }
        }
    }

    /// The values, weighted by the scores: `[dim][lanes]`.
    #[inline(always)]
    fn mix<S: Simd, const V: usize, const D: usize>(&mut self, simd: S) {
        let (task, kv_head, dim) = (self.task, self.kv_head, self.task.inputs.heads.dim);
        let LaneBuffers { scores, mixed, .. } = &mut *self.buffers;
        mixed.clear();
        mixed.resize(dim * N, 0.0);
        let mut rows = [&[][..]; CACHED_KEYS];
        for (keys, scores) in self.keys.chunks(CACHED_KEYS).zip(scores.chunks(CACHED_KEYS * N)) {
            for (row, key) in rows.iter_mut().zip(keys) {
                *row = task.head(task.inputs.values, kv_head, *key);
            }
            let (rows, scores) = (&rows[..keys.len()], registers::<S, V>(scores));
            for start in (0..dim).step_by(D) {
                if start + D <= dim {
                    add_weighted::<S, V, D>(simd, rows, start, scores, &mut mixed[start * N..(start + D) * N]);
                } else {
                    for column in start..dim {
                        add_weighted::<S, V, 1>(simd, rows, column, scores, &mut mixed[column * N..(column + 1) * N]);
                    }
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
    /// Columns of the keys that are read at once.
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

/// Adds `D` columns of rows, from `start` on, weighted by the lanes' scores.
#[inline(always)]
fn add_weighted<S: Simd, const V: usize, const D: usize>(
    simd: S,
    rows: &[&[f32]],
    start: usize,
    scores: &[[S::f32s; V]],
    out: &mut [f32],
) {
    let (out, _) = S::as_mut_simd_f32s(out).0.as_chunks_mut::<V>();
    let Some(out) = out.first_chunk_mut::<D>() else { return };
    let mut sums = *out;
    for (row, scores) in rows.iter().zip(scores) {
        let Some(values) = row.get(start..).and_then(|row| row.first_chunk::<D>()) else { break };
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f32s(*value);
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum = simd.mul_add_e_f32s(value, *score, *sum);
            }
        }
    }
    *out = sums;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

    use super::*;
    use crate::attention::Span;
    use crate::cpu::attend::AttentionInputs;
    use crate::weights::Heads;

    /// Numbers in [-1, 1) that look random and are always the same.
    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let number = |i: u32| (i.wrapping_mul(2_654_435_761) ^ seed).wrapping_mul(747_796_405) >> 8;
        (0..count as u32).map(|i| number(i) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// All lanes of a task, `N` at a time, with registers of a kind.
    fn found<S: Simd, const N: usize>(simd: S, task: AttentionTask<'_>) -> Vec<f32> {
        let Heads { queries, kv, dim } = task.inputs.heads;
        let (mut rows, mut buffers) = (vec![0.0; task.count * queries * dim], LaneBuffers::default());
        for kv_head in 0..kv {
            for first in (0..task.lanes()).step_by(N) {
                let lanes = first..task.lanes().min(first + N);
                Lanes::<N>::new(task, kv_head, lanes, &mut rows, &mut buffers).with_simd(simd);
            }
        }
        rows
    }

    /// The same by sums in f64.
    fn expected(task: AttentionTask<'_>) -> Vec<f64> {
        let Heads { queries, kv, dim } = task.inputs.heads;
        let mut rows = vec![0.0; task.count * queries * dim];
        for (kv_head, lane) in (0..kv).flat_map(|kv_head| (0..task.lanes()).map(move |lane| (kv_head, lane))) {
            let of = |packed: &[f32], row: u32| -> Vec<f64> {
                task.head(packed, kv_head, row).iter().map(|value| f64::from(*value)).collect()
            };
            let keys = &task.span.keys[task.seen(lane)];
            let score = |row: &u32| -> f64 {
                let products = of(task.inputs.keys, *row).into_iter().zip(task.query(kv_head, lane));
                products.map(|(key, query)| key * f64::from(*query)).sum::<f64>() / (dim as f64).sqrt()
            };
            let weights: Vec<f64> = keys.iter().map(|row| score(row).exp()).collect();
            for (row, weight) in keys.iter().zip(&weights) {
                let values = of(task.inputs.values, *row);
                for (to, value) in rows[task.place(kv_head, lane)].iter_mut().zip(values) {
                    *to += weight / weights.iter().sum::<f64>() * value;
                }
            }
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// With registers of every width, whatever the processor has; the last key stands first.
        #[test]
        fn lanes_are_sums_in_f64(
            (kv, group, dim) in (1_usize..3, 1_usize..4, 1_usize..40),
            (before, first, count) in (0_usize..90, 0_usize..9, 1_usize..40),
            window in prop::option::of(1_usize..50),
        ) {
            let heads = Heads { queries: kv * group, kv, dim };
            let all = before + first + count;
            let span = Span { queries: 0..first + count, keys: (0..all as u32).rev().collect() };
            let (queries, keys) = (numbers(1, (first + count) * kv * group * dim), numbers(2, all * kv * dim));
            let values = numbers(3, all * kv * dim);
            let inputs = AttentionInputs { queries: &queries, keys: &keys, values: &values, heads, window };
            let task = AttentionTask { inputs, span: &span, first, count };
            let expected = expected(task);
            for (found, name) in [
                (found::<_, MOST_LANES>(Scalar512b, task), "32 of 512 bits"),
                (found::<_, LANES>(Scalar512b, task), "16 of 512 bits"),
                (found::<_, MOST_LANES>(Scalar256b, task), "32 of 256 bits"),
                (found::<_, LANES>(Scalar256b, task), "16 of 256 bits"),
                (found::<_, MOST_LANES>(Scalar128b, task), "32 of 128 bits"),
                (found::<_, LANES>(Scalar128b, task), "16 of 128 bits"),
                (found::<_, MOST_LANES>(Scalar, task), "32 alone"),
            ] {
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let off = (f64::from(*found) - expected).abs();
                    prop_assert!(off < 2e-6, "{name}, number {i}: {found} for {expected}");
                }
            }
        }
    }
}
