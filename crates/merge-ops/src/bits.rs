//! Which numbers of a whole tensor stay, one bit each.

use std::ops::Range;

use rayon::prelude::*;

use crate::Numbers;

/// One bit for each number of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Of `n` numbers, found in parallel for spans of so many words of 64.
    pub fn new(n: usize, words: usize, of: impl Fn(Range<usize>) -> Vec<bool> + Sync) -> Self {
        let span = words.max(1) * 64;
        let mut bits = vec![0_u64; n.div_ceil(64)];
        bits.par_chunks_mut(span / 64).enumerate().for_each(|(at, out)| {
            let found = of(at * span..n.min((at + 1) * span));
            for (word, found) in out.iter_mut().zip(found.chunks(64)) {
                *word = found.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit));
            }
        });
        Self(bits)
    }

    pub fn get(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    /// What does not stay of a piece that begins at `start`.
    pub fn gone<N: Numbers>(&self, piece: &N, start: usize) -> N::Mask {
        piece.mask_like(|place| !self.get(start + place))
    }

    /// Puts 0 for what does not stay of a piece that begins at `start`.
    pub fn apply<N: Numbers>(&self, piece: N, start: usize) -> N {
        let gone = self.gone(&piece, start);
        piece.mask_fill(&gone, 0.0)
    }
}
