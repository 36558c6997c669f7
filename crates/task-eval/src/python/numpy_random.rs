//! NumPy's `default_rng`: the numbers by which the library `datasets` shuffles.
//!
//! A seed becomes the state of PCG64 (O'Neill, *PCG: a family of simple fast space-efficient statistically good
//! algorithms for random number generation*, 2014: XSL-RR, 128 bits of state, 64 of output) by way of NumPy's
//! `SeedSequence`, which mixes the seed's 32-bit words into a pool of four.

/// The multiplier of PCG64.
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
/// Words in the pool of a `SeedSequence`.
const POOL: usize = 4;
/// Words that PCG64 takes of it: 128 bits of state, 128 of increment.
const STATE_WORDS: usize = 8;

/// `numpy.random.default_rng(seed)`, as far as permutations need it.
#[derive(Debug, Clone)]
pub(crate) struct NumpyRandom {
    state: u128,
    increment: u128,
    /// The high half of the last output, if its low half alone has been used.
    half: Option<u32>,
}

impl NumpyRandom {
    /// The generator of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let words = seed_words(seed);
        let number = |at: usize| {
            let word = |at: usize| u128::from(words[at]) | u128::from(words[at + 1]) << 32;
            word(at) << 64 | word(at + 2)
        };
        let mut random = Self { state: 0, increment: number(4) << 1 | 1, half: None };
        random.step();
        random.state = random.state.wrapping_add(number(0));
        random.step();
        random
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    /// The next 64 bits: the halves of the state xored, turned by its top six bits.
    fn next_u64(&mut self) -> u64 {
        self.step();
        // The casts keep the low half and the top bits.
        (((self.state >> 64) ^ self.state) as u64).rotate_right((self.state >> 122) as u32)
    }

    /// The next 32 bits: the low half of an output, and then its high half.
    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let both = self.next_u64();
        self.half = Some((both >> 32) as u32);
        both as u32
    }

    /// A number from 0 to `most`: as many bits as `most` has, drawn until they are not above it.
    fn up_to(&mut self, most: usize) -> usize {
        let most = most as u64;
        let mask = u64::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let drawn = if most <= u64::from(u32::MAX) { u64::from(self.next_u32()) } else { self.next_u64() } & mask;
            if drawn <= most {
                return drawn as usize;
            }
        }
    }

    /// `permutation(n)`: the places 0 to n - 1, shuffled.
    ///
    /// From the last place to the second, each is exchanged with one at or before it.
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            let other = self.up_to(last);
            places.swap(last, other);
        }
        places
    }
}

/// `SeedSequence(seed).generate_state(8)`.
fn seed_words(seed: u64) -> [u32; STATE_WORDS] {
    let mut hash: u32 = 0x43b0_d7e5;
    let mut hashed = |word: u32| {
        let mixed = word ^ hash;
        hash = hash.wrapping_mul(0x931e_8875);
        let mixed = mixed.wrapping_mul(hash);
        mixed ^ mixed >> 16
    };
    // The casts keep the low and the high word; a missing word is hashed as 0.
    let mut pool = [hashed(seed as u32), hashed((seed >> 32) as u32), hashed(0), hashed(0)];
    for source in 0..POOL {
        for place in (0..POOL).filter(|&place| place != source) {
            let other = hashed(pool[source]);
            let mixed = pool[place].wrapping_mul(0xca01_f9dd).wrapping_sub(other.wrapping_mul(0x4973_f715));
            pool[place] = mixed ^ mixed >> 16;
        }
    }
    let mut hash: u32 = 0x8b51_f9dd;
    std::array::from_fn(|place| {
        let mixed = pool[place % POOL] ^ hash;
        hash = hash.wrapping_mul(0x58f3_8ded);
        let mixed = mixed.wrapping_mul(hash);
        mixed ^ mixed >> 16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4.6: `default_rng(seed).permutation(n)`.
    #[test]
    fn permutations_are_numpys() {
        let permutation = |seed, n| NumpyRandom::new(seed).permutation(n);
        assert_eq!(permutation(42, 10), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
        assert_eq!(permutation(0, 12), [9, 2, 7, 4, 5, 11, 0, 3, 6, 10, 8, 1]);
        assert_eq!(permutation((1 << 40) + 5, 7), [1, 2, 5, 6, 0, 4, 3]);
        assert_eq!(permutation(0, 2400)[..6], [1732, 1702, 720, 1423, 1234, 1358]);
        assert_eq!(permutation(3, 1), [0]);
        assert!(permutation(3, 0).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn a_permutation_has_each_place_once(seed: u64, n in 0_usize..300) {
            let mut places = NumpyRandom::new(seed).permutation(n);
            places.sort_unstable();
            proptest::prop_assert_eq!(places, (0..n).collect::<Vec<_>>());
        }
    }
}
