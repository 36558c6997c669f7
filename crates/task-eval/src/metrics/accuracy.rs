//! `acc` and its normalised siblings: the most likely choice.

/// NumPy's `argmax`: the first of the largest; a NaN counts as the largest.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if values[best].is_nan() {
            break;
        }
        if value.is_nan() || *value > values[best] {
            best = place;
        }
    }
    best
}
