//! The keys and values of a generation, in the host's memory.

use crate::attention::AttentionPlan;
use crate::engine::KvCache;

/// One layer's keys (after rotation) and values, `[rows, kv heads * dim]` each, wherever the batches' attention plans
/// say.
#[derive(Debug, Default)]
pub(crate) struct CpuCache {
    /// After rotation.
    pub keys: Vec<f32>,
    /// As they are.
    pub values: Vec<f32>,
}

impl KvCache for CpuCache {
    /// Keeps the memory for the next batch.
    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }
}

impl CpuCache {
    /// Puts the rows of a batch, of `width` numbers each, where its plan says that they are seen.
    pub fn place(&mut self, plan: &AttentionPlan, width: usize, keys: &[f32], values: &[f32]) {
        let rows = || plan.spans.iter().flat_map(|span| span.queries.clone().zip(span.own()));
        let needed = rows().map(|(_, row)| (*row as usize + 1) * width).max().unwrap_or(0);
        for (to, from) in [(&mut self.keys, keys), (&mut self.values, values)] {
            if needed > to.capacity() {
                // As much again for what will be generated: memory that is not written is not taken, and what has to
                // move is copied.
                to.reserve_exact(2 * needed - to.len());
            }
            to.resize(needed.max(to.len()), 0.0);
            for (query, row) in rows() {
                to[*row as usize * width..][..width].copy_from_slice(&from[query * width..][..width]);
            }
        }
    }
}
