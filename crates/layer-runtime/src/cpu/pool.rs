//! Memory that is used again instead of asked for again.

use std::sync::{Mutex, PoisonError};

use super::attend;
use super::linear;

/// What a thread needs for a block of rows.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub normed: Vec<f32>,
    /// Results of products.
    pub wide: Vec<f32>,
    pub attended: Vec<f32>,
    pub product: linear::Scratch,
    pub attention: attend::Scratch,
}

/// Scratch and buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Pool {
    scratch: Mutex<Vec<Scratch>>,
    buffers: Mutex<Vec<Vec<f32>>>,
}

/// Buffers kept; those of a layer, and streams, for a few models at work.
const KEPT: usize = 32;

impl Pool {
    /// Runs something with a scratch.
    pub fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        let result = work(&mut scratch);
        lock(&self.scratch).push(scratch);
        result
    }

    /// A buffer of `length`; what stands in it is anything.
    pub fn buffer(&self, length: usize) -> Vec<f32> {
        let mut buffer = self.find(length, usize::MAX).unwrap_or_default();
        sized(&mut buffer, length);
        buffer
    }

    /// A copy that is to be kept for long, so that it takes no buffer much larger than it is.
    pub fn copy(&self, values: &[f32]) -> Vec<f32> {
        let length = values.len();
        let mut copy = self.find(length, length + length / 4).unwrap_or_else(|| Vec::with_capacity(length));
        copy.clear();
        copy.extend_from_slice(values);
        copy
    }

    /// The smallest buffer that has room for `least` numbers and for `most` at most.
    fn find(&self, least: usize, most: usize) -> Option<Vec<f32>> {
        let mut buffers = lock(&self.buffers);
        let fitting = buffers.iter().map(Vec::capacity).enumerate().filter(|(_, room)| (least..=most).contains(room));
        let smallest = fitting.min_by_key(|(_, room)| *room).map(|(index, _)| index);
        smallest.map(|index| buffers.swap_remove(index))
    }

    /// Takes a buffer back.
    pub fn give(&self, buffer: Vec<f32>) {
        let mut buffers = lock(&self.buffers);
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    }
}

/// Makes room for exactly `length` numbers and hands them out; what stands in them is anything.
pub(super) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
