//! Vectors that begin at a cache line, so that a load of a whole register or of a tile's row never touches two lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE_BYTES: usize = 64;

/// A vector whose first number begins a cache line.
#[derive(Debug, Default)]
pub(super) struct CacheAligned<T> {
    /// Up to a line longer than asked for, and never moved, so that `start` stays right.
    numbers: Vec<T>,
    /// The place of the first number.
    start: usize,
    /// How many count.
    length: usize,
}

impl<T: Copy + Default> CacheAligned<T> {
    /// `length` numbers, all zero.
    pub fn zeroed(length: usize) -> Self {
        let mut aligned = Self::default();
        aligned.grow(length);
        aligned
    }

    /// Makes room for at least `length` numbers. Their values are unspecified: old contents are not copied.
    pub fn grow(&mut self, length: usize) {
        if length > self.length {
            self.numbers = vec![T::default(); length + LINE_BYTES / size_of::<T>().max(1)];
            // Where the offset cannot be computed, loads are slower but no less right.
            self.start = self.numbers.as_ptr().align_offset(LINE_BYTES).min(self.numbers.len() - length);
            self.length = length;
        }
    }
}

impl<T> Deref for CacheAligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.length]
    }
}

impl<T> DerefMut for CacheAligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_begin_a_line_however_they_grow() {
        let mut aligned = CacheAligned::<f32>::zeroed(3);
        for length in [0, 3, 5, 100, 7, 1000] {
            aligned.grow(length);
            assert!(aligned.len() >= length && aligned.as_ptr().cast::<u8>().align_offset(LINE_BYTES) == 0, "{length}");
        }
        aligned[999] = 1.0;
        assert_eq!(aligned.iter().sum::<f32>(), 1.0);
    }
}
