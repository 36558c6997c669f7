//! Randomness by counter: ask `k` has a generator of its own, so that a lost, repeated or reordered ask shifts no
//! other.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::TrialId;

/// The generator of one ask: ChaCha8, keyed by the seed, with a stream for each user (`stream`, for instance the
/// strategy's name) and ask.
///
/// Draw all that a strategy decides in ask `id` from `generator(seed, "my strategy", id)` and it can be resumed.
///
/// ```
/// use rand::RngExt;
/// use zo_search::{TrialId, generator};
///
/// let draw = |ask| generator(7, "my strategy", TrialId(ask)).random::<f64>();
/// assert!(draw(3) == draw(3) && draw(3) != draw(4));
/// ```
#[must_use]
pub fn generator(seed: u64, stream: &str, id: TrialId) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(stream.as_bytes());
    let mut rng = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    rng.set_stream(id.0);
    rng
}

/// A standard normal number.
pub(crate) fn gaussian(rng: &mut (impl Rng + ?Sized)) -> f64 {
    StandardNormal.sample(rng)
}

/// `count` of the items, each set of them as likely; all if there are fewer.
pub(crate) fn sample_items(mut items: Vec<usize>, count: usize, rng: &mut (impl Rng + ?Sized)) -> Vec<usize> {
    shuffle(&mut items, rng);
    items.truncate(count);
    items
}

/// Puts the items in an order of which each is as likely (Fisher and Yates).
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut (impl Rng + ?Sized)) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}

/// A probability or share as it is given, kept within 0 and 1; NaN is 0.
pub(crate) fn probability(given: f64) -> f64 {
    if given.is_nan() { 0.0 } else { given.clamp(0.0, 1.0) }
}

/// One of the items; none if there are none.
pub(crate) fn pick<'a, T>(items: &'a [T], rng: &mut (impl Rng + ?Sized)) -> Option<&'a T> {
    if items.is_empty() { None } else { items.get(rng.random_range(0..items.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_stream_and_ask_has_its_own_numbers() {
        let draw = |seed, stream, id| generator(seed, stream, TrialId(id)).random::<u64>();
        assert_eq!(draw(1, "a", 2), draw(1, "a", 2));
        let all = [draw(1, "a", 2), draw(2, "a", 2), draw(1, "b", 2), draw(1, "a", 3)];
        assert!((1..4).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn gaussian_numbers_have_mean_zero_and_variance_one() {
        let mut rng = generator(5, "test", TrialId(0));
        let draws: Vec<f64> = (0..10_000).map(|_| gaussian(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
    }
}
