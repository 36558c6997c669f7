//! One number for several turns.

/// The middle one of some seconds; of an even number, the later of the two; 0 of none.
///
/// Medians, not means: a turn in which the machine did something else does not count.
///
/// ```
/// assert_eq!(tailor_benches::median(&[3.0, 1.0, 90.0]), 3.0);
/// ```
#[must_use]
pub fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
