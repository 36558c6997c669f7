//! The keys and values of a generation, on the device.
//!
//! Rows stand in the order in which they are computed. The buffers double when they are full, so that a device sees
//! few sizes.

use burn::tensor::{Tensor, s};

use crate::engine::KvCache;

/// Packed keys (after rotation) and values, `[rows, kv heads * dim]` each.
#[derive(Debug)]
pub(super) struct KeyValues {
    /// After rotation.
    pub keys: Tensor<2>,
    /// As they are.
    pub values: Tensor<2>,
}

/// One layer's keys and values, in the order in which they were computed.
#[derive(Debug, Default)]
pub(crate) struct BurnCache {
    /// `[capacity, kv heads * dim]`; `None` before the first batch, and while a layer is at work with them.
    buffers: Option<KeyValues>,
    /// Rows of the buffers that count.
    used: usize,
}

impl KvCache for BurnCache {
    /// Drops the buffers: only their first rows would fit the next batch.
    fn clear(&mut self) {
        (self.buffers, self.used) = (None, 0);
    }
}

impl BurnCache {
    /// Adds rows and hands the buffers out, the new rows last of those used. [`BurnCache::keep`] takes them back:
    /// only a buffer owned alone is written in place.
    pub(super) fn append(&mut self, new: KeyValues) -> KeyValues {
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
    pub(super) fn keep(&mut self, buffers: KeyValues) {
        self.buffers = Some(buffers);
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
