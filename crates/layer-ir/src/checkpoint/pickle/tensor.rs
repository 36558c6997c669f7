//! A tensor as a pickle describes it: a view of a storage, of which shape, strides and place are checked.

use bytes::Bytes;

use super::machine::Storage;
use super::{PickleError, Range};
use crate::checkpoint::stored::Place;

/// A view of a storage.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The number of its storage among those of the pickle.
    pub storage: usize,
    /// The place of its first number in the storage, in numbers.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// As many as dimensions: how far the next number is, in numbers.
    pub strides: Vec<usize>,
}

impl View {
    /// Where its numbers are. `range` is where its storage lies in the file; `room` how many bytes tensors in another
    /// order may still take.
    pub fn place(
        &self,
        name: &str,
        storage: &Storage<'_>,
        file: &Bytes,
        range: Range,
        room: &mut usize,
    ) -> Result<Place, PickleError> {
        let size = storage.kind.size;
        let outside =
            || PickleError::Outside { name: name.to_owned(), shape: self.shape.clone(), numbers: storage.numbers };
        let repeats = || PickleError::Repeats { name: name.to_owned(), strides: self.strides.clone() };
        let elements = self.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let elements = elements.ok_or_else(outside)?;
        if elements == 0 {
            return Ok(Place::File(range.start..range.start));
        }
        let last = self.last().filter(|last| *last < storage.numbers && *last < range.len() / size);
        let last = last.ok_or_else(outside)?;
        if self.is_row_major() {
            let (start, end) = (range.start + self.offset * size, range.start + (last + 1) * size);
            return Ok(Place::File(start..end));
        }
        let bytes = elements.checked_mul(size).filter(|bytes| elements <= storage.numbers && *bytes <= *room);
        *room -= bytes.ok_or_else(repeats)?;
        Ok(Place::Memory(self.gather(&file[range], elements, size).into()))
    }

    /// The place of its last number in the storage; `None` if it is beyond what can be counted. Has at least one
    /// number.
    fn last(&self) -> Option<usize> {
        let steps = self.shape.iter().zip(&self.strides).map(|(size, stride)| (size - 1).checked_mul(*stride));
        steps.into_iter().try_fold(self.offset, |last, step| last.checked_add(step?))
    }

    /// Whether its numbers lie one after the other. Dimensions of one row do not matter.
    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected *= size;
            fits
        })
    }

    /// Its numbers in row-major order; all of them lie in the storage.
    fn gather(&self, storage: &[u8], elements: usize, size: usize) -> Vec<u8> {
        let mut gathered = Vec::with_capacity(elements * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..elements {
            gathered.extend_from_slice(&storage[at * size..(at + 1) * size]);
            for dimension in (0..index.len()).rev() {
                index[dimension] += 1;
                at += self.strides[dimension];
                if index[dimension] < self.shape[dimension] {
                    break;
                }
                at -= index[dimension] * self.strides[dimension];
                index[dimension] = 0;
            }
        }
        gathered
    }
}
