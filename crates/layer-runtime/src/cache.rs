//! The keys and values of tokens generated so far.

use burn::tensor::{Tensor, s};

use crate::engine::KeyValues;

/// One layer's keys and values; tokens of all sequences of a batch stand in the order in which they were computed. An engine keeps
/// them as tensors or as plain numbers.
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

    /// Adds rows in the host's memory and shows all that are there.
    pub fn extend(&mut self, keys: &[f32], values: &[f32]) -> &Numbers {
        self.numbers.keys.extend_from_slice(keys);
        self.numbers.values.extend_from_slice(values);
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
