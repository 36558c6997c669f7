//! Tokens drawn at random from what a model predicts.

/// How continuations are drawn: each token by the probabilities of the logits over the temperature.
///
/// A draw depends on the logits, the seed, the request's place in its call and the token's place in the answer alone:
/// with [`RuntimeOptions::reproducible`](crate::RuntimeOptions::reproducible) it is the same for any number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// What logits are divided by, above 0: 1 draws as the model predicts, less prefers likely tokens.
    pub temperature: f32,
    /// The seed.
    pub seed: u64,
}

impl Sampling {
    /// The token at a place of a request's answer.
    pub(crate) fn draw(self, logits: &[f32], request: usize, place: usize) -> u32 {
        let highest = logits.iter().fold(f32::NEG_INFINITY, |highest, logit| highest.max(*logit));
        let temperature = f64::from(self.temperature);
        let mass = |logit: &f32| (f64::from(logit - highest) / temperature).exp();
        let all: f64 = logits.iter().map(mass).sum();
        let wanted = self.uniform(request, place) * all;
        let mut so_far = 0.0;
        let drawn = logits.iter().position(|logit| {
            so_far += mass(logit);
            so_far > wanted
        });
        // Without one the logits are no numbers: what comes of them is seen where they are used.
        drawn.unwrap_or_default() as u32
    }

    /// A number from 0 to below 1.
    fn uniform(self, request: usize, place: usize) -> f64 {
        let state = mixed(mixed(mixed(self.seed) ^ request as u64) ^ place as u64);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A step of SplitMix64 (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2660193.2660195>): every bit of the
/// result depends on every bit of the state.
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 20,000 draws each token has its share, to five standard errors, at two temperatures.
    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let logits = [1.0_f32, -0.5, 2.0, 0.0];
        for temperature in [1.0, 0.5] {
            let sampling = Sampling { temperature, seed: 7 };
            let mut counts = [0_u32; 4];
            for request in 0..100 {
                (0..200).for_each(|place| counts[sampling.draw(&logits, request, place) as usize] += 1);
            }
            let mass = logits.map(|logit| f64::from(logit / temperature).exp());
            let all: f64 = mass.iter().sum();
            for (count, mass) in counts.iter().zip(mass) {
                let (found, expected) = (f64::from(*count) / 20_000.0, mass / all);
                let error = (expected * (1.0 - expected) / 20_000.0).sqrt();
                assert!((found - expected).abs() < 5.0 * error, "{temperature}: {found} of {expected}");
            }
        }
    }

    /// The first numbers of the reference implementation, `splitmix64.c`, from state 0.
    #[test]
    fn the_mixing_is_that_of_splitmix64() {
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mixed(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
