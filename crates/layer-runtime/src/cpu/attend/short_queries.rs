//! A query or two, each by itself: the lanes of registers are the columns of a head.

use super::AttentionTask;
use tailor_simd::{Simd, WithSimd, exp, max, sum, update};

/// The queries of a task, one after the other.
pub(super) struct ShortQueries<'a, 'b> {
    /// Whose queries.
    pub task: AttentionTask<'a>,
    /// The rows of the result.
    pub rows: &'b mut [f32],
    /// Memory for the scores of one query.
    pub scores: &'b mut Vec<f32>,
}

impl WithSimd for ShortQueries<'_, '_> {
    type Output = ();

    /// Of each query head: the scores, `[keys seen]`, their softmax, and the weighted sum of the values, `[dim]`.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { task, rows, scores } = self;
        for (kv_head, lane) in
            (0..task.inputs.heads.kv).flat_map(|kv_head| (0..task.lanes()).map(move |lane| (kv_head, lane)))
        {
            let seen = &task.span.keys[task.seen(lane)];
            let query = task.query(kv_head, lane);
            scores.resize(seen.len(), 0.0);
            for (score, &row) in scores.iter_mut().zip(seen) {
                *score = task.scale() * product(simd, query, task.head(task.inputs.keys, kv_head, row));
            }
            let highest = simd.splat_f32s(max(simd, scores));
            update(
                simd,
                scores,
                [],
                #[inline(always)]
                |score, []| exp(simd, simd.sub_f32s(score, highest)),
            );
            let total = sum(
                simd,
                scores,
                #[inline(always)]
                |score| score,
            );
            let out = &mut rows[task.place(kv_head, lane)];
            mix(simd, seen, |row| task.head(task.inputs.values, kv_head, row), scores, 1.0 / total, out);
        }
    }
}

/// The dot product of a query and a key.
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
    // Several sums side by side, so that the processor has something to do while it waits for one.
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

/// The sums plus `N` registers of a value, times its score.
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
