//! Orders of numbers: their places, sorted. Of equal numbers the first comes first.

/// The places of the numbers, the smallest number's first.
pub(crate) fn rising(numbers: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    places.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]).then(a.cmp(b)));
    places
}

/// The places of the numbers, the largest number's first.
pub(crate) fn falling(numbers: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    places.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]).then(a.cmp(b)));
    places
}
