//! Causal attention on the CPU: only the keys that a query sees, heads and spans in place.

use std::ops::Range;

use super::blocks::Run;
use super::simd::{Kernel, LANES, Lanes, dot, exp, fma, max, run, sum};
use crate::attention::{AttentionPlan, Span};
use crate::engine::Heads;

/// Queries that share each key that is read.
const TOGETHER: usize = 4;

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
        if part.count * (queries / kv) < TOGETHER {
            run(AttendFew { task, scratch });
        } else {
            run(AttendMany { task, scratch });
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

/// One key head's keys and values, and the scores of a few queries; kept from task to task.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[keys / LANES][dim][LANES]`
    keys: Vec<f32>,
    /// `[keys][dim padded to LANES]`
    values: Vec<f32>,
    /// `[TOGETHER][dim]`, times 1 / sqrt(dim)
    queries: Vec<f32>,
    /// `[TOGETHER][keys padded to LANES]`
    scores: Vec<f32>,
}

/// A query or two against keys where they stand: gathering them would cost more than it saves.
struct AttendFew<'a, 'b> {
    task: Task<'a>,
    scratch: &'b mut Scratch,
}

impl Kernel for AttendFew<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Task { inputs, span, first, rows } = self.task;
        let Heads { queries, kv, dim } = inputs.heads;
        let (group, scale) = (queries / kv, 1.0 / (dim as f32).sqrt());
        let scores = &mut self.scratch.scores;
        for (i, out) in rows.chunks_exact_mut(queries * dim).enumerate() {
            let seen = &span.keys[Span::seen(span.start() + first + i, inputs.window)];
            let from = (span.queries.start + first + i) * queries * dim;
            let query = inputs.queries[from..from + queries * dim].chunks_exact(dim);
            for (head, (query, out)) in query.zip(out.chunks_exact_mut(dim)).enumerate() {
                let at = |row: u32| (row as usize * kv + head / group) * dim;
                scores.clear();
                scores
                    .extend(seen.iter().map(|&row| scale * dot::<FUSED>(query, &inputs.keys[at(row)..at(row) + dim])));
                let normaliser = 1.0 / softmax::<FUSED>(scores);
                out.fill(0.0);
                for (&row, score) in seen.iter().zip(scores.iter()) {
                    let score = score * normaliser;
                    for (out, value) in out.iter_mut().zip(&inputs.values[at(row)..at(row) + dim]) {
                        *out = fma::<FUSED>(score, *value, *out);
                    }
                }
            }
        }
    }
}

/// Queries that share gathered keys.
struct AttendMany<'a, 'b> {
    task: Task<'a>,
    scratch: &'b mut Scratch,
}

impl Kernel for AttendMany<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Task { inputs, span, first, rows } = self.task;
        let Heads { queries, kv, dim } = inputs.heads;
        let count = rows.len() / (queries * dim);
        let start = span.start() + first;
        // Keys from the first that the first query sees to the last query's own.
        let seen = Span::seen(start, inputs.window).start..start + count;
        for kv_head in 0..kv {
            self.scratch.gather(&inputs, &span.keys[seen.clone()], kv_head);
            let group = queries / kv;
            for head in kv_head * group..(kv_head + 1) * group {
                for block in (0..count).step_by(TOGETHER) {
                    let together = block..count.min(block + TOGETHER);
                    let from = span.queries.start + first + block;
                    self.scratch.load_queries(&inputs, from, together.len(), head);
                    let visible = |i: usize| {
                        let keys = Span::seen(start + i, inputs.window);
                        keys.start - seen.start..keys.end - seen.start
                    };
                    self.scratch.attend::<FUSED>(dim, together, &visible, |i, column, lanes| {
                        let at = i * queries * dim + head * dim + column;
                        let width = LANES.min(dim - column);
                        rows[at..at + width].copy_from_slice(&lanes[..width]);
                    });
                }
            }
        }
    }
}

impl Scratch {
    /// Copies a head's keys and values together: keys in panels, one of `LANES` keys after the other.
    #[inline(always)]
    fn gather(&mut self, inputs: &Inputs<'_>, rows: &[u32], head: usize) {
        let Heads { kv, dim, .. } = inputs.heads;
        let padded = rows.len().next_multiple_of(LANES);
        let width = dim.next_multiple_of(LANES);
        self.keys.clear();
        self.keys.resize(padded * dim, 0.0);
        self.values.clear();
        self.values.resize(rows.len() * width, 0.0);
        let of = |row: u32| (row as usize * kv + head) * dim..(row as usize * kv + head + 1) * dim;
        for (panel, rows) in self.keys.chunks_exact_mut(dim * LANES).zip(rows.chunks(LANES)) {
            for (lane, &row) in rows.iter().enumerate() {
                for (slot, value) in panel.chunks_exact_mut(LANES).zip(&inputs.keys[of(row)]) {
                    slot[lane] = *value;
                }
            }
        }
        for (slot, &row) in self.values.chunks_exact_mut(width).zip(rows) {
            slot[..dim].copy_from_slice(&inputs.values[of(row)]);
        }
    }

    #[inline(always)]
    fn load_queries(&mut self, inputs: &Inputs<'_>, first: usize, count: usize, head: usize) {
        let Heads { queries, dim, .. } = inputs.heads;
        let scale = 1.0 / (dim as f32).sqrt();
        self.queries.clear();
        for row in first..first + count {
            let at = (row * queries + head) * dim;
            self.queries.extend(inputs.queries[at..at + dim].iter().map(|value| value * scale));
        }
        self.queries.resize(TOGETHER * dim, 0.0);
    }

    /// softmax(q k^T) v for the loaded queries; `store` gets `LANES` columns of a query's result at a time.
    #[inline(always)]
    fn attend<const FUSED: bool>(
        &mut self,
        dim: usize,
        queries: Range<usize>,
        visible: &impl Fn(usize) -> Range<usize>,
        mut store: impl FnMut(usize, usize, &Lanes),
    ) {
        let Some(last) = queries.clone().last() else { return };
        let (from, to) = (visible(queries.start).start / LANES * LANES, visible(last).end);
        let stride = to.next_multiple_of(LANES);
        self.scores.clear();
        self.scores.resize(TOGETHER * stride, 0.0);
        for panel in (from..stride).step_by(LANES) {
            let keys = &self.keys[panel * dim..(panel + LANES) * dim];
            let products = tile::<FUSED>(&self.queries, dim, 0..dim, keys, LANES);
            for (row, product) in self.scores.chunks_exact_mut(stride).zip(&products) {
                row[panel..panel + LANES].copy_from_slice(product);
            }
        }
        let mut normalisers = [0.0; TOGETHER];
        for ((i, row), normaliser) in queries.clone().zip(self.scores.chunks_exact_mut(stride)).zip(&mut normalisers) {
            let seen = visible(i);
            row[..seen.start].fill(0.0);
            row[seen.end..].fill(0.0);
            *normaliser = 1.0 / softmax::<FUSED>(&mut row[seen]);
        }
        let width = dim.next_multiple_of(LANES);
        for column in (0..width).step_by(LANES) {
            let values = &self.values[from * width + column..];
            let products = tile::<FUSED>(&self.scores, stride, from..to, values, width);
            for ((i, product), normaliser) in queries.clone().zip(&products).zip(&normalisers) {
                store(i, column, &product.map(|value| value * normaliser));
            }
        }
    }
}

/// e^(x - max) in place; the sum.
#[inline(always)]
fn softmax<const FUSED: bool>(row: &mut [f32]) -> f32 {
    let highest = max(row);
    for value in row.iter_mut() {
        *value = exp::<FUSED>(*value - highest);
    }
    sum(row, |value| value)
}

/// Columns `inner` of `TOGETHER` rows of `left` (one every `left_stride`) times as many rows of `right` (one every
/// `right_stride`, `LANES` columns of each).
#[inline(always)]
fn tile<const FUSED: bool>(
    left: &[f32],
    left_stride: usize,
    inner: Range<usize>,
    right: &[f32],
    right_stride: usize,
) -> [Lanes; TOGETHER] {
    let row = |i: usize| &left[i * left_stride + inner.start..i * left_stride + inner.end];
    let rows: [&[f32]; TOGETHER] = [row(0), row(1), row(2), row(3)];
    let mut sums = [[0.0; LANES]; TOGETHER];
    for (k, right) in right.chunks(right_stride).take(inner.len()).enumerate() {
        let Some(right) = right.first_chunk::<LANES>() else { break };
        for (sums, row) in sums.iter_mut().zip(&rows) {
            for (sum, value) in sums.iter_mut().zip(right) {
                *sum = fma::<FUSED>(row[k], *value, *sum);
            }
        }
    }
    sums
}
