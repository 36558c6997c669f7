//! Causal attention on the CPU: only the keys that a query sees, keys and values where they stand.
//!
//! Many queries of a run stand side by side in the lanes of registers; a few are each by themselves.

mod few;
mod lanes;

use std::ops::Range;

use super::blocks::Run;
use super::simd::run;
use crate::attention::{AttentionPlan, Span};
use crate::engine::Heads;

/// With fewer queries of a key head than this, a query by itself is faster.
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

/// What a thread needs from run to run.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    few: Vec<f32>,
    lanes: lanes::Scratch,
}

/// What each query of the runs sees, weighted: `[rows, queries * dim]`, the runs one after the other.
pub(super) fn attend(
    inputs: Inputs<'_>,
    plan: &AttentionPlan,
    runs: &[Run],
    mut out: &mut [f32],
    scratch: &mut Scratch,
) {
    let Heads { queries, dim, .. } = inputs.heads;
    for part in runs {
        let (rows, later) = out.split_at_mut(part.count * queries * dim);
        out = later;
        let task = Task { inputs, span: &plan.spans[part.span], first: part.first, count: part.count };
        if task.lanes() < WORTH_LANES {
            run(few::Few { task, rows, scores: &mut scratch.few });
        } else {
            lanes::attend(task, rows, &mut scratch.lanes);
        }
    }
}

/// Some queries of a span.
#[derive(Clone, Copy)]
struct Task<'a> {
    inputs: Inputs<'a>,
    span: &'a Span,
    /// The first query, counted within the span.
    first: usize,
    count: usize,
}

impl<'a> Task<'a> {
    /// Queries that read the same key head: the heads of a query that share it, then those of the next query.
    fn lanes(&self) -> usize {
        self.count * self.group()
    }

    /// The heads of a query that share a key head.
    fn group(&self) -> usize {
        self.inputs.heads.queries / self.inputs.heads.kv
    }

    /// Where a lane's numbers stand in the rows of the result.
    fn place(&self, kv_head: usize, lane: usize) -> Range<usize> {
        let (Heads { queries, dim, .. }, group) = (self.inputs.heads, self.group());
        let start = (lane / group) * queries * dim + (kv_head * group + lane % group) * dim;
        start..start + dim
    }

    /// A lane's query.
    fn query(&self, kv_head: usize, lane: usize) -> &'a [f32] {
        let Heads { queries, dim, .. } = self.inputs.heads;
        &self.inputs.queries[(self.span.queries.start + self.first) * queries * dim..][self.place(kv_head, lane)]
    }

    /// A key head's part of a row of keys or values.
    #[inline(always)]
    fn head<'b>(&self, packed: &'b [f32], kv_head: usize, row: u32) -> &'b [f32] {
        let Heads { kv, dim, .. } = self.inputs.heads;
        &packed[(row as usize * kv + kv_head) * dim..][..dim]
    }

    /// The positions that a lane sees.
    fn seen(&self, lane: usize) -> Range<usize> {
        Span::seen(self.span.start() + self.first + lane / self.group(), self.inputs.window)
    }

    /// What scores are multiplied with.
    fn scale(&self) -> f32 {
        1.0 / (self.inputs.heads.dim as f32).sqrt()
    }
}
