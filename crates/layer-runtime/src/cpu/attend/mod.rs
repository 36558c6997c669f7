//! Causal attention on the CPU: only the keys that a query sees, keys and values where they stand.
//!
//! For a query `q` at position `p`, with the keys `k_j` and values `v_j` of the positions that it sees: `softmax_j(q
//! . k_j / sqrt(dim))`, and the sum of the `v_j` weighted by it. A query head reads key head `head * kv / queries`.
//!
//! Many queries of a run stand side by side in the lanes of registers ([`lanes`]); of a few, each is computed by
//! itself ([`short_queries`]).

mod lanes;
mod short_queries;

use std::ops::Range;

use tailor_simd::run;

use super::blocks::QueryRun;
use crate::attention::{AttentionPlan, Span};
use crate::weights::Heads;

/// With fewer queries per key head than this, computing each query by itself is faster.
const WORTH_LANES: usize = 6;

/// Packed queries, keys and values, the first two after rotation.
#[derive(Clone, Copy)]
pub(super) struct AttentionInputs<'a> {
    /// `[rows, queries * dim]`
    pub queries: &'a [f32],
    /// `[rows, kv * dim]`
    pub keys: &'a [f32],
    /// `[rows, kv * dim]`
    pub values: &'a [f32],
    /// Their numbers and size.
    pub heads: Heads,
    /// How many positions a query sees, its own included; `None`: all before it.
    pub window: Option<usize>,
}

/// Intermediate results, kept from run to run.
#[derive(Debug, Default)]
pub(super) struct AttentionBuffers {
    /// Scores of one query.
    scores: Vec<f32>,
    /// Those of many queries at once.
    lanes: lanes::LaneBuffers,
}

/// `softmax(q k^T / sqrt(dim)) v` of each query of the runs: `[rows, queries * dim]`, the runs one after the other.
pub(super) fn attend(
    inputs: AttentionInputs<'_>,
    plan: &AttentionPlan,
    runs: &[QueryRun],
    mut out: &mut [f32],
    buffers: &mut AttentionBuffers,
) {
    let Heads { queries, dim, .. } = inputs.heads;
    for part in runs {
        let (rows, later) = out.split_at_mut(part.count * queries * dim);
        out = later;
        let task = AttentionTask { inputs, span: &plan.spans[part.span], first: part.first, count: part.count };
        if task.lanes() < WORTH_LANES {
            run(short_queries::ShortQueries { task, rows, scores: &mut buffers.scores });
        } else {
            lanes::attend(task, rows, &mut buffers.lanes);
        }
    }
}

/// Some queries of a span.
#[derive(Clone, Copy)]
struct AttentionTask<'a> {
    inputs: AttentionInputs<'a>,
    span: &'a Span,
    /// The first query, counted within the span.
    first: usize,
    /// How many queries.
    count: usize,
}

impl<'a> AttentionTask<'a> {
    /// The number of lanes, the query heads that read one key head: those of the first query, then those of the next
    /// one.
    fn lanes(&self) -> usize {
        self.count * self.group()
    }

    /// The heads of a query that share a key head.
    fn group(&self) -> usize {
        self.inputs.heads.queries / self.inputs.heads.kv
    }

    /// Where a lane's `dim` numbers stand in the rows of the result.
    fn place(&self, kv_head: usize, lane: usize) -> Range<usize> {
        let (Heads { queries, dim, .. }, group) = (self.inputs.heads, self.group());
        let start = (lane / group) * queries * dim + (kv_head * group + lane % group) * dim;
        start..start + dim
    }

    /// A lane's query, `[dim]`.
    fn query(&self, kv_head: usize, lane: usize) -> &'a [f32] {
        let Heads { queries, dim, .. } = self.inputs.heads;
        &self.inputs.queries[(self.span.queries.start + self.first) * queries * dim..][self.place(kv_head, lane)]
    }

    /// A key head's part of a row of keys or values, `[dim]`.
    #[inline(always)]
    fn head<'b>(&self, packed: &'b [f32], kv_head: usize, row: u32) -> &'b [f32] {
        let Heads { kv, dim, .. } = self.inputs.heads;
        &packed[(row as usize * kv + kv_head) * dim..][..dim]
    }

    /// The positions that a lane sees.
    fn seen(&self, lane: usize) -> Range<usize> {
        Span::seen(self.span.start() + self.first + lane / self.group(), self.inputs.window)
    }

    /// The factor of all scores, `1 / sqrt(dim)`.
    fn scale(&self) -> f32 {
        1.0 / (self.inputs.heads.dim as f32).sqrt()
    }
}
