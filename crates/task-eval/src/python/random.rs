//! CPython's `random.Random`, bit for bit: few-shot draws and bootstraps depend on it.
//!
//! The generator is MT19937 (Matsumoto and Nishimura, *Mersenne Twister*, 1998) with a period of 2^19937 - 1. What
//! CPython makes of its words (`Lib/random.py`, 3.11) is here as far as the harness uses it.

use std::num::NonZeroUsize;

/// The words of the state: `n` of the paper.
const WORDS: usize = 624;
/// How far apart the words are that are mixed: `m` of the paper.
const SHIFT: usize = 397;

/// The Mersenne Twister MT19937 as CPython seeds and reads it.
///
/// ```
/// let mut random = task_eval::PythonRandom::new(42); // random.seed(42)
/// assert_eq!([random.below(100), random.below(100)], [Some(81), Some(14)]); // random.randrange(100), twice
/// ```
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: [u32; WORDS],
    /// The next word to be read; [`WORDS`] if all have been.
    place: usize,
}

impl PythonRandom {
    /// `random.Random(seed)`: the seed's 32-bit words, least significant first, are the key.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The casts keep the low and the high word.
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        if high == 0 { Self::from_key(&[low]) } else { Self::from_key(&[low, high]) }
    }

    /// `init_by_array` of the reference implementation; `key` is not empty.
    fn from_key(key: &[u32]) -> Self {
        let mut state = from_number(19_650_218);
        let (mut i, mut j) = (1, 0);
        for _ in 0..WORDS.max(key.len()) {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_664_525)).wrapping_add(key[j]).wrapping_add(j as u32);
            i = next(i, &mut state);
            j = (j + 1) % key.len();
        }
        for _ in 1..WORDS {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i = next(i, &mut state);
        }
        state[0] = 0x8000_0000;
        Self { state, place: WORDS }
    }

    /// The next 32 bits.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.place == WORDS {
            self.refill();
        }
        let mut y = self.state[self.place];
        self.place += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The next state: [`WORDS`] new words.
    fn refill(&mut self) {
        for k in 0..WORDS {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % WORDS] & 0x7fff_ffff);
            let twist = if y & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[k] = self.state[(k + SHIFT) % WORDS] ^ (y >> 1) ^ twist;
        }
        self.place = 0;
    }

    /// `random()`: 53 bits in [0, 1).
    pub(crate) fn random(&mut self) -> f64 {
        let (a, b) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    /// `randrange(n)`: draws as many bits as `n` has until they are below `n`. None for 0, where Python raises a
    /// `ValueError`.
    pub fn below(&mut self, n: usize) -> Option<usize> {
        NonZeroUsize::new(n).map(|n| self.within(n))
    }

    /// As [`Self::below`], of a number that is not 0.
    fn within(&mut self, n: NonZeroUsize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = self.bits(bits);
            if drawn < n.get() {
                return drawn;
            }
        }
    }

    /// `getrandbits(count)`: words of 32 bits, the lowest first; of the last one its high bits.
    fn bits(&mut self, count: u32) -> usize {
        let (mut drawn, mut place) = (0, 0);
        while place < count {
            let missing = (count - place).min(32);
            drawn |= ((self.next_u32() >> (32 - missing)) as usize) << place;
            place += missing;
        }
        drawn
    }

    /// `shuffle(list)`: from the last place to the second, each is exchanged with one at or before it.
    ///
    /// ```
    /// let mut layers = [1, 2, 3, 4, 5];
    /// task_eval::PythonRandom::new(42).shuffle(&mut layers);
    /// assert_eq!(layers, [4, 2, 3, 5, 1]);
    /// ```
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.within(NonZeroUsize::MIN.saturating_add(last)));
        }
    }

    /// The places that `sample(population of n, k)` takes, in its order. `k <= n`; with a larger `k`, all `n`.
    pub(crate) fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let k = k.min(n);
        if n <= pool_limit(k) { self.sample_from_pool(n, k) } else { self.sample_by_rejection(n, k) }
    }

    /// Of few candidates: each drawn one is replaced by the last of those that are left.
    fn sample_from_pool(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut pool: Vec<usize> = (0..n).collect();
        let draw = |i: usize| {
            // The sizes of the pool that is left: n, n - 1, ... down to n - k + 1, which is at least 1.
            let j = self.within(NonZeroUsize::MIN.saturating_add(n - i - 1));
            let drawn = pool[j];
            pool[j] = pool[n - i - 1];
            drawn
        };
        (0..k).map(draw).collect()
    }

    /// Of many candidates: a place that was drawn before is drawn again.
    fn sample_by_rejection(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let Some(j) = self.below(n) else { break };
            if !drawn.contains(&j) {
                drawn.push(j);
            }
        }
        drawn
    }

    /// One place of `choices(population of n)`.
    pub(crate) fn choice(&mut self, n: usize) -> usize {
        // The cast is CPython's floor: the product is below n.
        (self.random() * n as f64) as usize
    }
}

/// `init_genrand` of the reference implementation.
fn from_number(seed: u32) -> [u32; WORDS] {
    let mut state = [seed; WORDS];
    for i in 1..WORDS {
        let previous = state[i - 1] ^ (state[i - 1] >> 30);
        state[i] = previous.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
    }
    state
}

/// The place after `i`, from the last one back to 1, with the last word copied to the front.
fn next(i: usize, state: &mut [u32; WORDS]) -> usize {
    if i + 1 < WORDS {
        return i + 1;
    }
    state[0] = state[WORDS - 1];
    1
}

/// Up to this many candidates, CPython copies the population: `21`, or `21 + 4 ** ceil(log(3 k, 4))` for more than 5.
fn pool_limit(k: usize) -> usize {
    let mut extra = if k > 5 { 1 } else { return 21 };
    while extra < 3 * k {
        extra *= 4;
    }
    21 + extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_words_and_draws_of_seed_1234_are_cpythons() {
        let words: Vec<u32> = std::iter::repeat_with({
            let mut random = PythonRandom::new(1234);
            move || random.next_u32()
        })
        .take(3)
        .collect();
        assert_eq!(words, [4_150_886_329, 3_342_196_574, 1_892_932_127]);
        let mut random = PythonRandom::new(1234);
        assert_eq!([random.random(), random.random()], [0.966_453_535_692_138_8, 0.440_732_599_175_352_7]);
    }

    #[test]
    fn three_successive_samples_advance_the_generator() {
        let mut random = PythonRandom::new(1234);
        assert_eq!(random.sample(37, 4), [28, 7, 0, 5]);
        assert_eq!(random.sample(37, 4), [2, 5, 6, 22]);
        assert_eq!(random.sample(37, 4), [15, 1, 22, 30]);
    }

    /// python3 -c "import random; r = random.Random(7); print([r.randrange(2**40) for _ in range(3)])" and so on.
    #[test]
    fn numbers_beyond_32_bits_are_cpythons() {
        let mut random = PythonRandom::new(7);
        let drawn: Vec<_> = [1 << 40, 1 << 40, 1 << 40, 3 << 32, 3 << 32, 3 << 32, 1 << 32, 1 << 32, (1 << 63) + 5]
            .into_iter()
            .filter_map(|n| random.below(n))
            .collect();
        let cpython = [868_231_286_071, 105_874_957_392, 208_460_025_899, 10_160_556_536, 2_179_419_893, 161_042_648];
        assert_eq!(drawn[..6], cpython);
        assert_eq!(drawn[6..], [1_862_494_042, 300_026_767, 1_090_396_360_377_453_094]);
    }

    #[test]
    fn nothing_is_below_zero() {
        assert_eq!(PythonRandom::new(1).below(0), None);
    }

    /// `l = list(range(16, 31)); random.Random(42).shuffle(l)`
    #[test]
    fn a_shuffle_is_cpythons() {
        let mut list: Vec<usize> = (16..31).collect();
        PythonRandom::new(42).shuffle(&mut list);
        assert_eq!(list, [24, 29, 23, 22, 30, 28, 21, 18, 25, 19, 20, 27, 16, 17, 26]);
    }

    proptest! {
        #[test]
        fn a_sample_is_k_different_places(seed: u64, n in 1_usize..300, k in 0_usize..60) {
            let mut drawn = PythonRandom::new(seed).sample(n, k);
            prop_assert_eq!(drawn.len(), k.min(n));
            prop_assert!(drawn.iter().all(|&place| place < n));
            drawn.sort_unstable();
            drawn.dedup();
            prop_assert_eq!(drawn.len(), k.min(n));
        }

        #[test]
        fn the_same_seed_draws_the_same(seed: u64, n in 1_usize..300) {
            prop_assert_eq!(PythonRandom::new(seed).sample(n, 5), PythonRandom::new(seed).sample(n, 5));
        }
    }
}
