//! `brier_score`: how far the probabilities are from certainty about the gold.

/// softmax of log-likelihoods.
pub(crate) fn softmax(log_likelihoods: &[f64]) -> Vec<f64> {
    let largest = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_likelihoods.iter().map(|ll| (ll - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// The squared distance from `probabilities` to the one-hot vector of `gold`; a gold outside counts as none.
pub(crate) fn squared_distance(gold: i64, probabilities: &[f64]) -> f64 {
    let one_hot = |place: usize| f64::from(u8::from(i64::try_from(place) == Ok(gold)));
    probabilities.iter().enumerate().map(|(place, p)| (p - one_hot(place)).powi(2)).sum()
}
