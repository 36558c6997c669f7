//! Numbers that begin with a line of the cache: a load of a whole register or of a tile's row then never takes two lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a line, and of the widest register.
const LINE: usize = 64;

/// A vector whose first number begins a line.
#[derive(Debug, Default)]
pub(super) struct Lines<T> {
    /// Up to a line more than is asked for; it never moves.
    numbers: Vec<T>,
    start: usize,
    length: usize,
}

impl<T: Copy + Default> Lines<T> {
    /// So many numbers, all zero.
    pub fn zeroed(length: usize) -> Self {
        let mut lines = Self::default();
        lines.grow(length);
        lines
    }

    /// Makes room for `length` numbers at least; what stands in them is anything.
    pub fn grow(&mut self, length: usize) {
        if length > self.length {
            self.numbers = vec![T::default(); length + LINE / size_of::<T>().max(1)];
            // Where that cannot be said, loads are slower and no less right.
            self.start = self.numbers.as_ptr().align_offset(LINE).min(self.numbers.len() - length);
            self.length = length;
        }
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.length]
    }
}

impl<T> DerefMut for Lines<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_a_line_however_they_grow() {
        let mut lines = Lines::<f32>::zeroed(3);
        for length in [0, 3, 5, 100, 7, 1000] {
            lines.grow(length);
            assert!(lines.len() >= length && lines.as_ptr().cast::<u8>().align_offset(LINE) == 0, "{length}");
        }
        lines[999] = 1.0;
        assert_eq!(lines.iter().sum::<f32>(), 1.0);
    }
}
