//! CPython's `random.Random`, bit for bit: few-shot draws and bootstraps depend on it.

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// The Mersenne Twister MT19937 as CPython seeds and reads it.
///
/// ```
/// let mut random = task_eval::PythonRandom::new(42); // random.seed(42)
/// assert_eq!([random.below(100), random.below(100)], [81, 14]); // random.randrange(100), twice
/// ```
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: [u32; WORDS],
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

    /// `randrange(n)` for `0 < n < 2^32`; draws until the bits are below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.next_u32() >> (32 - bits.clamp(1, 32))) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// The places that `sample(population of n, k)` takes, in its order. `k <= n`; with a larger `k`, all `n`.
    pub(crate) fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let k = k.min(n);
        if n <= pool_limit(k) { self.sample_from_pool(n, k) } else { self.sample_by_rejection(n, k) }
    }

    fn sample_from_pool(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut pool: Vec<usize> = (0..n).collect();
        let draw = |i: usize| {
            let j = self.below(n - i);
            let drawn = pool[j];
            pool[j] = pool[n - i - 1];
            drawn
        };
        (0..k).map(draw).collect()
    }

    fn sample_by_rejection(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(k);
        while drawn.len() < k {
            let j = self.below(n);
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
