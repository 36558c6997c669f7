//! The k-th magnitude of a tensor, found by counting: no sort, no copy, the same on every device and any number of threads.

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use crate::Numbers;
use crate::op::blocks;

/// Which numbers of a tensor stay: those of larger magnitude, and of that magnitude the first ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Larger magnitudes stay.
    pub magnitude: f32,
    /// This very magnitude stays at indices before this one.
    pub ties_before: usize,
}

/// A place in the ascending order of magnitudes, equal ones in the order of their indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Smaller magnitudes lie before.
    magnitude: f32,
    /// This very magnitude lies before at indices before this one.
    ties_before: usize,
}

/// What stays between two places in the order of magnitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// What lies before it goes.
    pub from: Edge,
    /// What lies before it stays.
    pub to: Edge,
}

/// The value at a rank.
struct Ranked {
    bits: u32,
    /// How many are smaller.
    below: usize,
    /// How many are the same.
    equal: usize,
}

/// Reads a range of the numbers of a tensor, such as [`Inputs::difference`](crate::Inputs::difference) of one source.
pub type Read<'a> = &'a (dyn Fn(Range<usize>) -> Vec<f32> + Sync);

impl Cut {
    /// Nothing stays.
    pub const NOTHING: Self = Self { magnitude: f32::INFINITY, ties_before: 0 };

    /// Keeps the `k` largest magnitudes of `n` numbers, exactly: among equals those that come first. `None` where all stay.
    #[must_use]
    pub fn largest(n: usize, k: usize, read: Read<'_>) -> Option<Self> {
        if k >= n {
            return None;
        }
        if k == 0 {
            return Some(Self::NOTHING);
        }
        let found = ranked(n, n - k, read);
        let quota = k - (n - found.below - found.equal);
        let ties_before = if quota == found.equal { n } else { nth_equal(n, found.bits, quota, read) };
        Some(Self { magnitude: f32::from_bits(found.bits), ties_before })
    }

    /// Keeps magnitudes from the `k`-th smallest of `n` on, 1 the smallest, with all its equals. `None` where all stay.
    #[must_use]
    pub fn from_kth_smallest(n: usize, k: usize, read: Read<'_>) -> Option<Self> {
        if k == 0 || n == 0 {
            return None;
        }
        let bits = ranked(n, k.min(n) - 1, read).bits;
        Some(Self { magnitude: f32::from_bits(bits), ties_before: n })
    }

    /// Whether a number at an index stays.
    #[must_use]
    pub fn keeps(&self, number: f32, index: usize) -> bool {
        let magnitude = number.abs();
        magnitude > self.magnitude || magnitude == self.magnitude && index < self.ties_before
    }

    /// Puts 0 for what does not stay of a piece that begins at `start`.
    #[must_use]
    pub fn apply<N: Numbers>(&self, piece: N, start: usize) -> N {
        let (n, magnitudes) = (piece.length(), piece.clone().abs());
        let first = self.ties_before.saturating_sub(start).min(n);
        let smaller = || magnitudes.lower_elem(self.magnitude);
        let gone = if first == n {
            smaller()
        } else if first == 0 {
            magnitudes.lower_equal_elem(self.magnitude)
        } else {
            let late = piece.mask_like(|place| place >= first);
            N::either(&smaller(), &N::both(&magnitudes.equal_elem(self.magnitude), &late))
        };
        piece.mask_fill(&gone, 0.0)
    }
}

impl Edge {
    /// Nothing lies before.
    const FIRST: Self = Self { magnitude: 0.0, ties_before: 0 };

    /// The `k` smallest of `n` lie before, exactly: among equals those that come first.
    #[must_use]
    pub fn behind(n: usize, k: usize, read: Read<'_>) -> Self {
        if k == 0 {
            return Self::FIRST;
        }
        if k >= n {
            return Self { magnitude: f32::INFINITY, ties_before: n };
        }
        let found = ranked(n, k - 1, read);
        let quota = k - found.below;
        let ties_before = if quota == found.equal { n } else { nth_equal(n, found.bits, quota, read) };
        Self { magnitude: f32::from_bits(found.bits), ties_before }
    }

    /// Lies at the `k`-th smallest of `n`, 1 the smallest: it and its equals lie before if `equals_before`, else behind. Nothing lies
    /// before for 0.
    #[must_use]
    pub fn at_kth(n: usize, k: usize, equals_before: bool, read: Read<'_>) -> Self {
        if k == 0 || n == 0 {
            return Self::FIRST;
        }
        Self { magnitude: magnitude_at(n, k.min(n) - 1, read), ties_before: if equals_before { n } else { 0 } }
    }

    fn precedes(&self, magnitude: f32, index: usize) -> bool {
        magnitude < self.magnitude || magnitude == self.magnitude && index < self.ties_before
    }

    /// Where the numbers of a piece that begins at `start` lie before.
    fn mask<N: Numbers>(&self, magnitudes: &N, start: usize) -> N::Mask {
        let n = magnitudes.length();
        let first = self.ties_before.saturating_sub(start).min(n);
        if first == n {
            magnitudes.lower_equal_elem(self.magnitude)
        } else if first == 0 {
            magnitudes.lower_elem(self.magnitude)
        } else {
            let early = magnitudes.mask_like(|place| place < first);
            let equal = N::both(&magnitudes.equal_elem(self.magnitude), &early);
            N::either(&magnitudes.lower_elem(self.magnitude), &equal)
        }
    }
}

impl Band {
    /// Whether a number at an index stays.
    #[must_use]
    pub fn keeps(&self, number: f32, index: usize) -> bool {
        self.to.precedes(number.abs(), index) && !self.from.precedes(number.abs(), index)
    }

    /// Puts 0 for what does not stay of a piece that begins at `start`.
    #[must_use]
    pub fn apply<N: Numbers>(&self, piece: N, start: usize) -> N {
        let magnitudes = piece.clone().abs();
        let nothing = piece.full_like(0.0);
        let below = nothing.mask_where(&self.to.mask(&magnitudes, start), &piece);
        below.mask_fill(&self.from.mask(&magnitudes, start), 0.0)
    }
}

/// The magnitude at a rank of `n` numbers, 0 the smallest. `rank` must be below `n`.
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

/// The magnitude at a rank, 0 the smallest.
fn ranked(n: usize, rank: usize, read: Read<'_>) -> Ranked {
    bracket(n, rank, read).and_then(|around| within(n, rank, around, read)).unwrap_or_else(|| by_digits(n, rank, read))
}

/// Magnitudes between which the one at a rank lies for all that a sample can say (Floyd and Rivest, "Expected time bounds for
/// selection", 1975); none if they are too many.
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

/// The magnitude at a rank if it is between these, counted in one pass.
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
    let below = pulp::Arch::new().dispatch(Tally { groups, low, span, counts });
    rest.iter().for_each(|number| tally_one(*number, low, counts));
    below.into_iter().sum::<usize>() + rest.iter().filter(|number| bits(**number) < low).count()
}

/// A type and no closure: one so large is not compiled for the processor's vectors.
struct Tally<'a> {
    groups: &'a [[f32; SIDE]],
    low: u32,
    span: u32,
    counts: &'a mut [u32],
}

impl pulp::WithSimd for Tally<'_> {
    type Output = [usize; SIDE];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [usize; SIDE] {
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

/// The index behind the `quota`-th number of this magnitude.
fn nth_equal(n: usize, magnitude: u32, quota: usize, read: Read<'_>) -> usize {
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
    use crate::Lanes;
    use burn::tensor::Tensor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exactly_k_of_the_largest_stay_and_of_equals_the_first(
            values in prop::collection::vec(-6_i8..6, 1..300), share in 0.0..1.0_f64, start in 0_usize..300,
        ) {
            let values: Vec<f32> = values.into_iter().map(|value| f32::from(value) / 3.0).collect();
            let (n, k) = (values.len(), (share * values.len() as f64) as usize);
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
            let expected: Vec<bool> = (0..n).map(|index| order[..k].contains(&index)).collect();
            let cut = Cut::largest(n, k, &|range| values[range].to_vec()).ok_or(TestCaseError::fail("k < n"))?;
            let found: Vec<bool> = values.iter().enumerate().map(|(index, value)| cut.keeps(*value, index)).collect();
            prop_assert_eq!(&found, &expected);

            let start = start % n;
            let kept = |(index, value): (usize, &f32)| if expected[index] { *value } else { 0.0 };
            let expected: Vec<f32> = values.iter().enumerate().map(kept).collect();
            let piece = Tensor::<1>::from_data(&values[start..], &burn::tensor::Device::flex());
            let piece = cut.apply(piece, start).try_into_vec_as::<f32>().map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(piece, &expected[start..]);
            let lanes = cut.apply(Lanes::from(values[start..].to_vec()), start);
            prop_assert_eq!(&*lanes.numbers(), &expected[start..]);
        }
    }

    proptest! {
        #[test]
        fn a_band_is_a_run_of_the_stable_ascending_order(
            values in prop::collection::vec(-6_i8..6, 1..300), from in 0..200_usize, more in 0..300_usize, start in 0_usize..300,
        ) {
            let values: Vec<f32> = values.into_iter().map(|value| f32::from(value) / 3.0).collect();
            let n = values.len();
            let (from, to) = (from.min(n), (from + more).min(n));
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
            let read = |range: Range<usize>| values[range].to_vec();
            let band = Band { from: Edge::behind(n, from, &read), to: Edge::behind(n, to, &read) };
            let stays: Vec<bool> = (0..n).map(|index| order[from..to].contains(&index)).collect();
            let found: Vec<bool> = (0..n).map(|index| band.keeps(values[index], index)).collect();
            prop_assert_eq!(&found, &stays);

            let start = start % n;
            let expected: Vec<f32> = (start..n).map(|index| if stays[index] { values[index] } else { 0.0 }).collect();
            let lanes = band.apply(Lanes::from(values[start..].to_vec()), start);
            prop_assert_eq!(&*lanes.numbers(), &expected[..]);
        }
    }

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

    #[test]
    fn the_cut_is_found_across_blocks() {
        let n = 200_000;
        let read = |range: Range<usize>| range.map(|index| if index % 2 == 0 { 1.0 } else { -2.0 }).collect();
        let cut = Cut::largest(n, 150_000, &read);
        assert_eq!(cut, Some(Cut { magnitude: 1.0, ties_before: 99_999 }));
        let cut = Cut::from_kth_smallest(n, 100_001, &read);
        assert_eq!(cut, Some(Cut { magnitude: 2.0, ties_before: n }));
    }
}
