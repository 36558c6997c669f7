//! Independent choices, given how many of them may be made: conditional Poisson sampling.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

/// How likely the choices behind each one lead to an allowed size: `[i][c]` with `c` chosen among the first `i`.
fn ways(chances: &[f64], sizes: &RangeInclusive<usize>) -> Vec<Vec<f64>> {
    let n = chances.len();
    let mut ways = vec![vec![0.0; n + 2]; n + 1];
    for (size, way) in ways[n].iter_mut().enumerate() {
        *way = f64::from(u8::from(sizes.contains(&size)));
    }
    for i in (0..n).rev() {
        for c in 0..=i {
            ways[i][c] = (1.0 - chances[i]) * ways[i + 1][c] + chances[i] * ways[i + 1][c + 1];
        }
    }
    ways
}

/// Which are chosen, each with its chance, given that their number is allowed.
pub(super) fn draw(chances: &[f64], sizes: &RangeInclusive<usize>, rng: &mut impl Rng) -> Vec<bool> {
    let ways = ways(chances, sizes);
    let (n, mut count) = (chances.len(), 0);
    let mut chosen = Vec::with_capacity(n);
    for (i, chance) in chances.iter().enumerate() {
        let (with, without) = (chance * ways[i + 1][count + 1], (1.0 - chance) * ways[i + 1][count]);
        let drawn = rng.random::<f64>() * (with + without) < with;
        // What must be, whatever the chances, for a size that is allowed.
        let must = count + (n - i) <= *sizes.start();
        let may = count < *sizes.end();
        chosen.push((drawn || must) && may);
        count += usize::from((drawn || must) && may);
    }
    chosen
}

/// The logarithm of the probability that the number chosen is allowed.
pub(super) fn ln_allowed(chances: &[f64], sizes: &RangeInclusive<usize>) -> f64 {
    libm::log(ways(chances, sizes)[0][0].max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrialId, generator};

    #[test]
    fn draws_are_as_likely_as_the_conditional_law_says() {
        let chances = [0.9, 0.1, 0.5, 0.3];
        for sizes in [2..=2, 1..=2, 0..=4, 4..=4] {
            let probability = |set: u32| {
                let of = |(i, p): (usize, &f64)| if set & (1 << i) == 0 { 1.0 - p } else { *p };
                chances.iter().enumerate().map(of).product::<f64>()
            };
            let allowed: Vec<u32> = (0..16).filter(|set: &u32| sizes.contains(&(set.count_ones() as usize))).collect();
            let total: f64 = allowed.iter().map(|set| probability(*set)).sum();
            assert!((ln_allowed(&chances, &sizes) - total.ln()).abs() < 1e-12);
            let mut rng = generator(1, "test", TrialId(0));
            let mut counts = [0.0; 16];
            for _ in 0..20_000 {
                let set = draw(&chances, &sizes, &mut rng)
                    .iter()
                    .enumerate()
                    .map(|(i, bit)| usize::from(*bit) << i)
                    .sum::<usize>();
                counts[set] += 1.0 / 20_000.0;
            }
            for set in allowed {
                let (found, expected) = (counts[set as usize], probability(set) / total);
                assert!((found - expected).abs() < 0.015, "{set:b} of {sizes:?}: {found}, not {expected}");
            }
            assert!((counts.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        }
    }
}
