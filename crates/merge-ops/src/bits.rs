//! Which numbers of a whole tensor stay, one bit each.

use std::ops::Range;

use rayon::prelude::*;

use crate::Numbers;

/// One bit for each number of a tensor: whether it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Those of `n` numbers, found by `of` in parallel for spans of `words` times 64 numbers. `of` gets a range of
    /// indices and gives whether each of them stays.
    #[must_use]
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

    /// Whether the number at an index stays. The index must be below `n`.
    #[must_use]
    pub fn get(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    /// Where the numbers of a piece that begins at `start` do not stay.
    #[must_use]
    pub fn gone<N: Numbers>(&self, piece: &N, start: usize) -> N::Mask {
        piece.mask_like(|place| !self.get(start + place))
    }

    /// Puts 0 for what does not stay of a piece that begins at `start`.
    #[must_use]
    pub fn apply<N: Numbers>(&self, piece: N, start: usize) -> N {
        let gone = self.gone(&piece, start);
        piece.mask_fill(&gone, 0.0)
    }
}
