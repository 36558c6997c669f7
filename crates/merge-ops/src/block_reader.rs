//! A block of all tensors of a merge: read from their files at once, then merged run by run in the second cache.
//!
//! A large copy from the file is faster than its mapped pages, of which the system brings in each by itself.
//! Each thread has a [`Scratch`] and reads one block of [`BLOCK`](crate::op::BLOCK) numbers at a time.

use std::ops::Range;

use crate::{Error, Lanes, Operand};

/// Memory for blocks, to be used again and again: one buffer for each operand.
pub(crate) type Scratch = Vec<Vec<u8>>;

/// The same block of some tensors.
pub(crate) struct BlockReader<'a> {
    operands: Vec<&'a Operand>,
    /// What is stored of the block, for each operand; empty where it is not stored in one piece.
    bytes: &'a [Vec<u8>],
    /// The index of the block's first number.
    start: usize,
}

impl<'a> BlockReader<'a> {
    /// Reads the block, which is a range of elements, from the files of all operands.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(
        operands: impl Iterator<Item = &'a Operand>,
        block: Range<usize>,
        scratch: &'a mut Scratch,
    ) -> Result<Self, Error> {
        let operands: Vec<&Operand> = operands.collect();
        scratch.resize_with(operands.len(), Vec::new);
        for (operand, bytes) in operands.iter().zip(scratch.iter_mut()) {
            operand.read_block(block.clone(), bytes)?;
        }
        Ok(Self { operands, bytes: scratch, start: block.start })
    }

    /// A short run of the numbers of the last tensor.
    pub fn last(&self, run: Range<usize>) -> Option<Lanes<'_>> {
        let (operand, bytes) = self.operands.last().zip(self.bytes.last())?;
        Some(operand.lanes_of_block(bytes, self.start, run))
    }

    /// A short run of the numbers of each tensor, in the order of the operands. `run` counts elements of the whole
    /// tensors and must lie within the block.
    pub fn lanes(&self, run: Range<usize>) -> impl Iterator<Item = Lanes<'_>> {
        let tensors = self.operands.iter().zip(self.bytes);
        tensors.map(move |(operand, bytes)| operand.lanes_of_block(bytes, self.start, run.clone()))
    }
}
