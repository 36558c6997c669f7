//! The k-th magnitude of a tensor, found by counting: without sorting or copying the tensor, and the same for any
//! number of threads.
//!
//! A magnitude is compared by the bits of its f32, which are integers of the same order. Small tensors are counted in
//! three passes, by 11, 10 and 10 bits of the integer. In large ones a sample usually says between which magnitudes the
//! wanted one lies, and one pass counts those.

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use crate::op::blocks;

/// The magnitude at a rank.
pub(crate) struct Ranked {
    /// The bits of its f32.
    pub bits: u32,
    /// How many are smaller.
    pub below: usize,
    /// How many are the same.
    pub equal: usize,
}

/// Reads a range of the numbers of a tensor, as often as it is asked for and on several threads, such as
/// [`Inputs::difference`](crate::Inputs::difference) of one source.
pub type Read<'a> = &'a (dyn Fn(Range<usize>) -> Vec<f32> + Sync);

/// The magnitude at a rank of `n` numbers, 0 the smallest. `rank` must be below `n`.
///
/// A large tensor is usually read once, and a sample of it before; a small one is read three times.
/// ```
/// use merge_ops::tools::magnitude_at;
///
/// let numbers = [-4.0, 1.0, 3.0];
/// assert_eq!(magnitude_at(3, 1, &|range| numbers[range].to_vec()), 3.0, "the median");
/// ```
#[must_use]
pub fn magnitude_at(n: usize, rank: usize, read: Read<'_>) -> f32 {
    f32::from_bits(ranked(n, rank, read).bits)
}

/// Magnitudes as integers of the same order.
#[inline(always)]
fn bits(number: f32) -> u32 {
    number.to_bits() & (u32::MAX >> 1)
}

/// Tensors of fewer numbers are counted without a sample.
const SAMPLED: usize = 1 << 18;
/// Of each block so many numbers are in the sample.
const SAMPLE: usize = 1 << 10;
/// The most magnitudes that are counted one by one.
const SPAN: u32 = 1 << 20;

/// The magnitude at a rank, 0 the smallest, with how many lie below and how many are equal. `rank` must be below `n`.
pub(crate) fn ranked(n: usize, rank: usize, read: Read<'_>) -> Ranked {
    bracket(n, rank, read).and_then(|around| within(n, rank, around, read)).unwrap_or_else(|| by_digits(n, rank, read))
}

/// Magnitudes between which the one at a rank lies for all that a sample can say (Floyd and Rivest, "Expected time
/// bounds for selection", 1975); none if they are too many.
fn bracket(n: usize, rank: usize, read: Read<'_>) -> Option<RangeInclusive<u32>> {
    if n < SAMPLED {
        return None;
    }
    let of = |range: Range<usize>| read(range.start..range.end.min(range.start + SAMPLE));
    let mut sample: Vec<u32> = blocks(n).flat_map_iter(of).map(bits).collect();
    sample.sort_unstable();
    let place = (rank as f64 / n as f64 * sample.len() as f64) as usize;
    let margin = 3 * sample.len().isqrt();
    let low = place.checked_sub(margin).map_or(0, |place| sample[place]);
    let high = sample.get(place + margin).copied().unwrap_or(u32::MAX >> 1);
    (high - low < SPAN).then_some(low..=high)
}

/// The magnitude at a rank if it is between these, counted in one pass; `None` if it lies outside of them.
fn within(n: usize, mut rank: usize, around: RangeInclusive<u32>, read: Read<'_>) -> Option<Ranked> {
    let (low, span) = (*around.start(), around.end() - around.start());
    let empty = || (0_usize, vec![0_u32; span as usize + 1]);
    let count =
        |(below, mut counts): (usize, Vec<u32>), range| (below + tally(&read(range), low, span, &mut counts), counts);
    let add = |(below, mut left): (usize, Vec<u32>), (more, right): (usize, Vec<u32>)| {
        left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        (below + more, left)
    };
    let (mut below, counts) = blocks(n).fold(empty, count).reduce(empty, add);
    rank = rank.checked_sub(below)?;
    for (bits, equal) in (low..).zip(counts) {
        let equal = equal as usize;
        if rank < equal {
            return Some(Ranked { bits, below, equal });
        }
        (rank, below) = (rank - equal, below + equal);
    }
    None
}

/// How many numbers compare with each other at once.
const SIDE: usize = 16;

/// Counts magnitudes of `low` and at most `span` more, each for itself; how many are lower.
fn tally(numbers: &[f32], low: u32, span: u32, counts: &mut [u32]) -> usize {
    let (groups, rest) = numbers.as_chunks::<SIDE>();
    let below = tailor_simd::arch().dispatch(Tally { groups, low, span, counts });
    rest.iter().for_each(|number| tally_one(*number, low, counts));
    below.into_iter().sum::<usize>() + rest.iter().filter(|number| bits(**number) < low).count()
}

/// The loop of [`tally`]. A type and no closure: one so large is not compiled for the processor's vectors.
struct Tally<'a> {
    groups: &'a [[f32; SIDE]],
    low: u32,
    span: u32,
    counts: &'a mut [u32],
}

impl tailor_simd::WithSimd for Tally<'_> {
    type Output = [usize; SIDE];

    #[inline(always)]
    fn with_simd<S: tailor_simd::Simd>(self, _: S) -> [usize; SIDE] {
        let Self { groups, low, span, counts } = self;
        let mut below = [0; SIDE];
        for group in groups {
            let magnitudes = group.map(bits);
            let mut inside = 0;
            for (below, bits) in below.iter_mut().zip(magnitudes) {
                *below += usize::from(bits < low);
                inside |= u32::from(bits.wrapping_sub(low) <= span);
            }
            // Few groups have one: the span is narrow.
            if inside != 0 {
                group.iter().for_each(|number| tally_one(*number, low, counts));
            }
        }
        below
    }
}

/// Counts one magnitude, if it is in the span.
#[inline(always)]
fn tally_one(number: f32, low: u32, counts: &mut [u32]) {
    if let Some(count) = counts.get_mut(bits(number).wrapping_sub(low) as usize) {
        *count += 1;
    }
}

/// The magnitude at a rank: 31 bits found 11, 10 and 10 at a time.
fn by_digits(n: usize, mut rank: usize, read: Read<'_>) -> Ranked {
    let (mut prefix, mut below, mut equal) = (0_u32, 0, n);
    for (shift, width) in [(20, 11), (10, 10), (0, 10)] {
        let counts = histogram(n, prefix, shift, width, read);
        let mut bin = 0;
        while bin + 1 < counts.len() && rank >= counts[bin] {
            rank -= counts[bin];
            below += counts[bin];
            bin += 1;
        }
        equal = counts[bin];
        prefix = prefix << width | bin as u32;
    }
    Ranked { bits: prefix, below, equal }
}

/// How often each value of `width` bits at `shift` occurs among magnitudes that begin with `prefix`.
fn histogram(n: usize, prefix: u32, shift: u32, width: u32, read: Read<'_>) -> Vec<usize> {
    let empty = || vec![0_usize; 1 << width];
    let count = |mut counts: Vec<usize>, range| {
        for bits in read(range).into_iter().map(bits).filter(|bits| bits >> (shift + width) == prefix) {
            counts[(bits >> shift) as usize & ((1 << width) - 1)] += 1;
        }
        counts
    };
    let add = |mut left: Vec<usize>, right: Vec<usize>| {
        left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        left
    };
    blocks(n).fold(empty, count).reduce(empty, add)
}

/// The index behind the `quota`-th number of this magnitude, from 1; `n` where there are fewer. Reads the tensor once,
/// and one block again.
pub(crate) fn nth_equal(n: usize, magnitude: u32, quota: usize, read: Read<'_>) -> usize {
    let count = |range: Range<usize>| {
        let found = read(range.clone()).into_iter().filter(|number| bits(*number) == magnitude).count();
        (range, found)
    };
    let counts: Vec<_> = blocks(n).map(count).collect();
    let mut left = quota;
    for (range, found) in counts {
        if found < left {
            left -= found;
            continue;
        }
        let start = range.start;
        let equal = read(range).into_iter().enumerate().filter(|(_, number)| bits(*number) == magnitude);
        return equal.take(left).last().map_or(start, |(index, _)| start + index + 1);
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_changes_nothing() {
        let n = SAMPLED + 777;
        let hash = |index: usize| (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let smooth = |index: usize| hash(index) as f32 / (1 << 24) as f32 - 0.5;
        // Runs of one magnitude, such that samples mislead; few magnitudes; all of them.
        let kinds: [&(dyn Fn(usize) -> f32 + Sync); 4] =
            [&smooth, &|index| (index / 5000) as f32, &|index| (hash(index) % 5) as f32, &|index| {
                f32::from_bits(hash(index) as u32)
            }];
        for of in kinds {
            let read = |range: Range<usize>| range.map(of).collect::<Vec<f32>>();
            let mut sorted: Vec<u32> = read(0..n).into_iter().map(bits).collect();
            sorted.sort_unstable();
            for rank in [0, 1, n / 10, n / 2, n - 2, n - 1] {
                let found = ranked(n, rank, &read);
                let below = sorted.partition_point(|bits| *bits < sorted[rank]);
                let equal = sorted.partition_point(|bits| *bits <= sorted[rank]) - below;
                assert_eq!((found.bits, found.below, found.equal), (sorted[rank], below, equal));
            }
        }
    }
}
