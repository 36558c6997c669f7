//! Memory for intermediate results, used again: fresh pages cost more time than what is computed in them.
//!
//! Batches differ in size, and each size has vectors of its own. So that they do not add up, a vector that must be made
//! anew takes the place of others that this batch has not used.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Vectors that were given back.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// By their capacity, those that were given back last behind the others; each with the batch in which that was.
    vectors: BTreeMap<usize, VecDeque<(u64, Vec<f32>)>>,
    /// The present batch.
    batch: u64,
    /// Numbers of vectors that were dropped in this batch and not made again yet.
    room: usize,
}

impl Buffers {
    /// Another batch begins.
    pub fn next_batch(&self) {
        let mut free = self.lock();
        (free.batch, free.room) = (free.batch + 1, 0);
    }

    /// A vector of this length with any content.
    pub fn take(&self, length: usize) -> Vec<f32> {
        let mut vector = self.lock().take(rounded_up(length));
        vector.resize(length, 0.0);
        vector
    }

    /// A vector of this length, all zero.
    pub fn zeros(&self, length: usize) -> Vec<f32> {
        let mut zeros = self.take(length);
        zeros.fill(0.0);
        zeros
    }

    /// Takes vectors of [`Self::take`] back.
    pub fn give<const N: usize>(&self, used: [Vec<f32>; N]) {
        let mut free = self.lock();
        let batch = free.batch;
        for vector in used {
            free.vectors.entry(rounded_up(vector.len())).or_default().push_back((batch, vector));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Free {
    fn take(&mut self, capacity: usize) -> Vec<f32> {
        if let Some((_, known)) = self.vectors.get_mut(&capacity).and_then(VecDeque::pop_back) {
            return known;
        }
        while self.room < capacity && self.drop_unused(capacity - self.room) {}
        self.room = self.room.saturating_sub(capacity);
        Vec::with_capacity(capacity)
    }

    /// Drops a vector that this batch has not used, the smallest of at least so many numbers or else the largest;
    /// whether there was one.
    fn drop_unused(&mut self, numbers: usize) -> bool {
        let batch = self.batch;
        let unused = |vectors: &VecDeque<(u64, Vec<f32>)>| vectors.front().is_some_and(|(used, _)| *used < batch);
        let larger = self.vectors.range(numbers..).find(|(_, vectors)| unused(vectors));
        let chosen = larger.or_else(|| self.vectors.range(..numbers).rev().find(|(_, vectors)| unused(vectors)));
        let Some(capacity) = chosen.map(|(capacity, _)| *capacity) else { return false };
        self.room += capacity;
        self.vectors.get_mut(&capacity).and_then(VecDeque::pop_front).is_some()
    }
}

/// A length with its three highest bits alone, rounded up: batches of about equal size share memory.
fn rounded_up(length: usize) -> usize {
    let step = 1 << length.max(1).ilog2().saturating_sub(2);
    length.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_used_again_for_one_of_about_its_length() {
        let buffers = Buffers::default();
        let first = buffers.take(1000);
        let place = first.as_ptr();
        buffers.give([first]);
        buffers.next_batch();
        let second = buffers.take(900);
        assert_eq!((second.len(), second.as_ptr()), (900, place));
        assert_eq!(buffers.zeros(5), [0.0; 5]);
    }

    /// Batches of many sizes hold no more than the largest of them, and one vector.
    #[test]
    fn batches_of_other_sizes_do_not_add_up() {
        let buffers = Buffers::default();
        for size in [1000, 300, 1500, 40, 700, 1501, 1300] {
            buffers.next_batch();
            let used: Vec<Vec<f32>> = (0..10).map(|_| buffers.take(size)).collect();
            used.into_iter().for_each(|vector| buffers.give([vector]));
            let free = buffers.lock();
            let held: usize = free.vectors.iter().map(|(capacity, vectors)| capacity * vectors.len()).sum();
            assert!(held <= 11 * rounded_up(1501), "{held} numbers after {size}");
        }
        // Those of this batch stay.
        let places: Vec<_> = (0..10).map(|_| buffers.take(1300)).collect();
        assert!(places.iter().all(|vector| vector.capacity() == rounded_up(1300)));
    }
}
