//! Memory for intermediate results, used again: fresh pages cost more time than what is computed in them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Vectors that were given back, by their capacity.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Mutex<HashMap<usize, Vec<Vec<f32>>>>,
}

impl Buffers {
    /// A vector of this length with any content.
    pub fn take(&self, length: usize) -> Vec<f32> {
        let capacity = rounded_up(length);
        let known = self.free.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&capacity).and_then(Vec::pop);
        let mut vector = known.unwrap_or_else(|| Vec::with_capacity(capacity));
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
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        for vector in used {
            free.entry(rounded_up(vector.len())).or_default().push(vector);
        }
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
        let second = buffers.take(900);
        assert_eq!((second.len(), second.as_ptr()), (900, place));
        assert_eq!(buffers.zeros(5), [0.0; 5]);
    }
}
