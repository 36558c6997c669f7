//! The keys and values of tokens generated so far.

use burn::tensor::{Tensor, s};

use crate::attention::AttentionPlan;
use crate::engine::KeyValues;

/// One layer's keys and values, which an engine keeps as tensors, in the order in which they were computed, or as plain numbers, wherever a
/// plan says.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    buffers: Option<KeyValues>,
    used: usize,
    numbers: Numbers,
}

/// Packed keys and values in the host's memory, `[rows, kv heads * dim]` each.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

impl LayerCache {
    /// Forgets all, but keeps the host's memory for what comes next.
    pub fn clear(&mut self) {
        (self.buffers, self.used) = (None, 0);
        self.numbers.keys.clear();
        self.numbers.values.clear();
    }

    /// Adds rows and hands the buffers out, the new rows last of those used. [`LayerCache::keep`] takes them back: only a
    /// buffer owned alone is written in place.
    pub fn append(&mut self, new: KeyValues) -> KeyValues {
        let [rows, _] = new.keys.dims();
        let (start, end) = (self.used, self.used + rows);
        self.used = end;
        match self.buffers.take() {
            None => new,
            Some(old) => KeyValues {
                keys: grown(old.keys, start, end).slice_assign(s![start..end, ..], new.keys),
                values: grown(old.values, start, end).slice_assign(s![start..end, ..], new.values),
            },
        }
    }

    /// Takes the buffers back.
    pub fn keep(&mut self, buffers: KeyValues) {
        self.buffers = Some(buffers);
    }

    /// Puts the rows of a batch where its plan says that they are seen, in the host's memory, and shows all that are there.
    pub fn place(&mut self, plan: &AttentionPlan, width: usize, keys: &[f32], values: &[f32]) -> &Numbers {
        let rows = || plan.spans.iter().flat_map(|span| span.queries.clone().zip(span.own()));
        let needed = rows().map(|(_, row)| (*row as usize + 1) * width).max().unwrap_or(0);
        for (to, from) in [(&mut self.numbers.keys, keys), (&mut self.numbers.values, values)] {
            if needed > to.capacity() {
                // As many again for what will be generated: what is not written takes no memory, and what has to move is copied.
                to.reserve_exact(2 * needed - to.len());
            }
            to.resize(needed.max(to.len()), 0.0);
            for (query, row) in rows() {
                to[*row as usize * width..][..width].copy_from_slice(&from[query * width..][..width]);
            }
        }
        &self.numbers
    }
}

/// The buffer, with room for `needed` rows, of which the first `used` count.
fn grown(buffer: Tensor<2>, used: usize, needed: usize) -> Tensor<2> {
    let [capacity, width] = buffer.dims();
    if needed <= capacity {
        return buffer;
    }
    let room = Tensor::zeros([needed.max(2 * capacity) - used, width], (&buffer.device(), buffer.dtype()));
    let kept = if used == capacity { buffer } else { buffer.slice(s![..used, ..]) };
    Tensor::cat(vec![kept, room], 0)
}
