//! Random numbers that belong to a place and not to an order of calls: what methods such as DARE and DELLA draw by.

/// Uniform random numbers from 0 to 1, one for each element of a tensor: the same in whatever pieces and on however
/// many threads it is merged. A method that draws says by what in its description ([`DrawsBy`](layer_ir::DrawsBy)).
///
/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) is the step of a counter
/// and a hash of it: any element's number is found at once, for two multiplications, and it passes BigCrush. A cipher
/// such as ChaCha would be as/// good and many times slower. The top 24 bits count, as in torch's f32 numbers.
///
/// ```
/// use merge_ops::tools::Draws;
///
/// let draws = Draws::new(7, "model.layers.0.mlp.up_proj.weight", 0);
/// let kept = (0..10_000).filter(|index| draws.happens(*index, 0.25)).count();
/// assert!((2_300..2_700).contains(&kept), "about a quarter: {kept}");
/// assert_eq!(draws.happens(3, 0.25), draws.happens(3, 0.25), "a place draws the same number each time");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws(
    /// Where the counter begins: a hash of the seed, the tensor's name and the source's place.
    u64,
);

/// What the counter goes on by for each element: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// Those under a seed and a tensor's name, for the source at a place of a merge.
    ///
    /// With the name that the tensor has in the source (`settings.sources[source].tensor`) equal expressions make equal
    /// tensors, wherever the output layer stands: [`DrawsBy::Source`](layer_ir::DrawsBy::Source).
    #[must_use]
    pub fn new(seed: u64, tensor: &str, source: usize) -> Self {
        // FNV-1a, which is the same in every version of Rust.
        let name = tensor
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self([name, source as u64].into_iter().fold(mixed(seed), |key, next| mixed(key ^ mixed(next))))
    }

    /// Whether an event of a probability (0 to 1) happens at an element's index.
    #[inline]
    #[must_use]
    pub fn happens(self, index: usize, probability: f32) -> bool {
        let number = mixed(self.0.wrapping_add((index as u64).wrapping_mul(STEP)));
        (number >> 40) as f32 * (-24.0_f32).exp2() < probability
    }
}

/// SplitMix64's output for a counter: every bit of it depends on every bit of the counter.
#[inline]
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(STEP);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_tensors_and_sources_draw_independently() {
        let n = 100_000;
        let all = [Draws::new(0, "a", 0), Draws::new(1, "a", 0), Draws::new(0, "b", 0), Draws::new(0, "a", 1)];
        for (i, draws) in all.iter().enumerate() {
            let share = (0..n).filter(|index| draws.happens(*index, 0.3)).count() as f64 / n as f64;
            assert!((share - 0.3).abs() < 0.006, "four standard deviations: {share}");
            for other in &all[..i] {
                let both = (0..n).filter(|index| draws.happens(*index, 0.3) && other.happens(*index, 0.3)).count();
                assert!((both as f64 / n as f64 - 0.09).abs() < 0.004, "{both} of {n}");
            }
        }
        assert!((0..n).all(|index| all[0].happens(index, 1.0) && !all[0].happens(index, 0.0)));
    }
}
