//! Memory that is used again instead of being asked for again.
//!
//! Fresh memory is mapped page by page at its first use, which costs more than what is computed in it. A pool hands
//! buffers out and takes them back. What they hold is unspecified.

use std::sync::{Mutex, PoisonError};

use super::attend::AttentionBuffers;
use super::linear::ProductBuffers;

/// The intermediate results of a thread at work on a block of rows.
#[derive(Debug, Default)]
pub(super) struct ThreadBuffers {
    /// After a norm, `[rows, hidden]`.
    pub normed: Vec<f32>,
    /// Results of products: `[rows, (queries + 2 kv) * dim]`, `[rows, intermediate]` or `[rows, vocabulary]`.
    pub wide: Vec<f32>,
    /// After the attention, `[rows, queries * dim]`.
    pub attended: Vec<f32>,
    /// Activations as the kernels read them, and what is computed of them.
    pub products: ProductBuffers,
    /// Scores and transposed queries.
    pub attention: AttentionBuffers,
}

/// Memory that no thread uses at the moment.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    /// Those of threads that are done.
    threads: Mutex<Vec<ThreadBuffers>>,
    /// Streams and a layer's results, of any length; at most [`MOST_BUFFERS`].
    buffers: Mutex<Vec<Vec<f32>>>,
}

/// The most buffers that are kept: those of a layer, and the streams of a few models at work.
const MOST_BUFFERS: usize = 32;

impl BufferPool {
    /// Runs something with the buffers of a thread.
    pub fn with<T>(&self, work: impl FnOnce(&mut ThreadBuffers) -> T) -> T {
        let mut buffers = lock(&self.threads).pop().unwrap_or_default();
        let result = work(&mut buffers);
        lock(&self.threads).push(buffers);
        result
    }

    /// A buffer of `length` numbers of unspecified values.
    pub fn buffer(&self, length: usize) -> Vec<f32> {
        let mut buffer = self.find(length, usize::MAX).unwrap_or_default();
        resized(&mut buffer, length);
        buffer
    }

    /// A copy that may be kept for long: it takes no buffer much larger than it needs.
    pub fn copy(&self, values: &[f32]) -> Vec<f32> {
        let length = values.len();
        let mut copy = self.find(length, length + length / 4).unwrap_or_else(|| Vec::with_capacity(length));
        copy.clear();
        copy.extend_from_slice(values);
        copy
    }

    /// The smallest buffer that has room for at least `least` and at most `most` numbers.
    fn find(&self, least: usize, most: usize) -> Option<Vec<f32>> {
        let mut buffers = lock(&self.buffers);
        let fitting = buffers.iter().map(Vec::capacity).enumerate().filter(|(_, room)| (least..=most).contains(room));
        let smallest = fitting.min_by_key(|(_, room)| *room).map(|(index, _)| index);
        smallest.map(|index| buffers.swap_remove(index))
    }

    /// Takes a buffer back.
    pub fn give(&self, buffer: Vec<f32>) {
        let mut buffers = lock(&self.buffers);
        if buffers.len() < MOST_BUFFERS {
            buffers.push(buffer);
        }
    }
}

/// Resizes a buffer to `length` numbers of unspecified values.
pub(super) fn resized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}

/// Nothing panics while a list is half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
