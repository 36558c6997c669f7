//! Which numbers of a tensor stay when methods such as TIES and breadcrumbs cut by magnitude.
//!
//! A cut is two numbers, a magnitude and an index, so that a piece of a tensor is masked without knowing the rest. The
//! magnitudes are found in [`order_statistics`](crate::order_statistics).

use crate::Numbers;
use crate::order_statistics::{Read, magnitude_at, nth_equal, ranked};

/// Which numbers of a tensor stay: those of larger magnitude, and of that magnitude the first ones.
/// [`tools`](crate::tools) has an example.
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
///
/// ```
/// use merge_ops::Lanes;
/// use merge_ops::tools::{Band, Edge};
///
/// let numbers = [4.0, -1.0, 3.0, -2.0];
/// let read = |range: std::ops::Range<usize>| numbers[range].to_vec();
/// let band = Band { from: Edge::behind(4, 1, &read), to: Edge::behind(4, 3, &read) };
/// let kept = band.apply(Lanes::from(numbers.to_vec()), 0);
/// assert_eq!(*kept.numbers(), [0.0, 0.0, 3.0, -2.0], "without the smallest and the largest");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// What lies before it goes.
    pub from: Edge,
    /// What lies before it stays.
    pub to: Edge,
}

impl Cut {
    /// Nothing stays.
    pub const NOTHING: Self = Self { magnitude: f32::INFINITY, ties_before: 0 };

    /// Keeps the `k` largest magnitudes of `n` numbers, exactly: among equals those that come first. `None` where all
    /// stay.
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
    /// A `k` beyond `n` counts as `n`.
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

    /// Lies at the `k`-th smallest of `n`, 1 the smallest: it and its equals lie before if `equals_before`, else
    /// behind. Nothing lies before for 0.
    #[must_use]
    pub fn at_kth(n: usize, k: usize, equals_before: bool, read: Read<'_>) -> Self {
        if k == 0 || n == 0 {
            return Self::FIRST;
        }
        Self { magnitude: magnitude_at(n, k.min(n) - 1, read), ties_before: if equals_before { n } else { 0 } }
    }

    /// Whether a number of this magnitude at an index lies before.
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

#[cfg(test)]
mod tests {
    use std::ops::Range;

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
            let piece = cut.apply(piece, start).try_into_vec_as::<f32>();
            let piece = piece.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(piece, &expected[start..]);
            let lanes = cut.apply(Lanes::from(values[start..].to_vec()), start);
            prop_assert_eq!(&*lanes.numbers(), &expected[start..]);
        }
    }

    proptest! {
        #[test]
        fn a_band_is_a_run_of_the_stable_ascending_order(
            values in prop::collection::vec(-6_i8..6, 1..300), from in 0..200_usize, more in 0..300_usize,
            start in 0_usize..300,
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
    fn the_cut_is_found_across_blocks() {
        let n = 200_000;
        let read = |range: Range<usize>| range.map(|index| if index % 2 == 0 { 1.0 } else { -2.0 }).collect();
        let cut = Cut::largest(n, 150_000, &read);
        assert_eq!(cut, Some(Cut { magnitude: 1.0, ties_before: 99_999 }));
        let cut = Cut::from_kth_smallest(n, 100_001, &read);
        assert_eq!(cut, Some(Cut { magnitude: 2.0, ties_before: n }));
    }
}
