//! Which numbers of a whole tensor stay, one bit each: for choices that no cut by magnitude can say, such as DELLA's
//! draws by rank or SCE's by variance.

use std::ops::Range;

use rayon::prelude::*;

use crate::Numbers;

/// One bit for each number of a tensor: whether it stays. It takes `n / 8` bytes.
///
/// ```
/// use merge_ops::Lanes;
/// use merge_ops::tools::Bits;
///
/// let even = Bits::new(100, 1, |range| range.map(|index| index % 2 == 0).collect());
/// assert!(even.get(98) && !even.get(99));
/// let piece = even.apply(Lanes::from(vec![1.0, 2.0, 3.0]), 41); // the numbers 41, 42 and 43
/// assert_eq!(Vec::from(piece), [0.0, 2.0, 0.0]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits(
    /// Number `i` has bit `i % 64` of word `i / 64`.
    Vec<u64>,
);

impl Bits {
    /// Those of `n` numbers, found by `of` in parallel for spans of `words` times 64 numbers. `of` gets a range of
    /// indices and gives whether each of them stays. A choice that looks at neighbours wants spans that hold all of
    /// them, such as whole rows.
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

    /// Where the numbers of a piece that begins at `start` do not stay. Of `piece` only the length and the device
    /// count.
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
