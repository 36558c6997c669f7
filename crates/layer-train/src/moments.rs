//! An optimiser's moments in a byte each: block-wise dynamic quantisation (Dettmers et al. 2022, 8-bit Optimizers via
//! Block-wise Quantization, <https://arxiv.org/abs/2110.02861>, sections 2.1 and 2.2).
//!
//! Numbers are cut into blocks of [`BLOCK`]; each block keeps the largest absolute value in it, s, and of each number x
//! the code of the value of a map that is nearest to x / s. The map's values stand close where numbers are small: a
//! decade below has half as many of them.

use std::sync::LazyLock;

use rayon::prelude::*;

/// Numbers that share a scale.
pub(crate) const BLOCK: usize = 256;

/// The map of numbers of both signs, for means of gradients.
pub(crate) static SIGNED: LazyLock<DynamicMap> = LazyLock::new(|| DynamicMap::new(true));
/// The map of numbers from 0, for means of their squares. A number above 0 is never rounded to 0: a root of 0 would
/// make a step of any size (Li et al. 2023, <https://arxiv.org/abs/2309.01507>, section 4.1).
pub(crate) static UNSIGNED: LazyLock<DynamicMap> = LazyLock::new(|| DynamicMap::new(false));

/// 256 values from -1 or 0 to 1.
pub(crate) struct DynamicMap {
    /// In ascending order.
    values: [f32; 256],
    /// What lies above one belongs to a later value: the middles of neighbours, and infinity.
    borders: [f32; 256],
    /// For each number's upper 16 bits the code of the lowest number that begins so.
    first: Vec<u8>,
}

impl DynamicMap {
    /// The values are bitsandbytes' `create_dynamic_map`: 1, 0, and in each of 7 decades below 1 the middles of equal
    /// parts of [0.1, 1] of it. The last decade has 64 parts, or 128 where there is no sign; each one before it half as
    /// many.
    fn new(signed: bool) -> Self {
        let mut all = vec![0.0_f64, 1.0];
        for decade in 0..7 {
            let parts = 1 << (decade + usize::from(!signed));
            for part in 0..parts {
                let middle = 0.1 + 0.9 * (f64::from(part) + 0.5) / f64::from(parts);
                let value = middle * 10_f64.powi(decade as i32 - 6);
                all.push(value);
                all.extend(signed.then_some(-value));
            }
        }
        all.sort_by(f64::total_cmp);
        let values: [f32; 256] = std::array::from_fn(|code| all[code] as f32);
        let mut borders: [f32; 256] = std::array::from_fn(|code| match values.get(code + 1) {
            Some(next) => ((f64::from(values[code]) + f64::from(*next)) / 2.0) as f32,
            None => f32::INFINITY,
        });
        if !signed {
            borders[0] = 0.0;
        }
        let first = (0..=u16::MAX).map(|upper| {
            let lower = if upper >> 15 == 0 { 0 } else { u32::from(u16::MAX) };
            let lowest = f32::from_bits(u32::from(upper) << 16 | lower);
            borders.partition_point(|border| *border < lowest).min(255) as u8
        });
        Self { values, borders, first: first.collect() }
    }

    /// The code of 0.
    pub fn zero(&self) -> u8 {
        self.code(0.0)
    }

    /// The code of a number from -1 to 1.
    #[inline]
    fn code(&self, number: f32) -> u8 {
        let first = self.first[(number.to_bits() >> 16) as usize];
        first + u8::from(number > self.borders[first as usize])
    }

    /// Quantises a block of at most [`BLOCK`] numbers, and returns its scale.
    fn quantise(&self, numbers: &[f32], codes: &mut [u8]) -> f32 {
        let scale = numbers.iter().fold(0_f32, |most, number| most.max(number.abs()));
        let by = if scale > 0.0 { scale } else { 1.0 };
        codes.iter_mut().zip(numbers).for_each(|(code, number)| *code = self.code(number / by));
        scale
    }
}

/// Numbers as codes, and the scale of each block of them.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    pub codes: &'a mut [u8],
    pub scales: &'a mut [f32],
}

impl<'a> Blocks<'a> {
    /// Pieces of `size` numbers, a multiple of [`BLOCK`].
    pub fn pieces(self, size: usize) -> impl IndexedParallelIterator<Item = Blocks<'a>> {
        let pieces = self.codes.par_chunks_mut(size).zip(self.scales.par_chunks_mut(size / BLOCK));
        pieces.map(|(codes, scales)| Blocks { codes, scales })
    }

    /// Appends the numbers to `into`.
    pub fn read(&self, map: &DynamicMap, into: &mut Vec<f32>) {
        for (codes, scale) in self.codes.chunks(BLOCK).zip(&*self.scales) {
            into.extend(codes.iter().map(|code| map.values[*code as usize] * scale));
        }
    }

    /// Takes other numbers.
    pub fn write(&mut self, map: &DynamicMap, numbers: &[f32]) {
        let blocks = self.codes.chunks_mut(BLOCK).zip(numbers.chunks(BLOCK)).zip(&mut *self.scales);
        blocks.for_each(|((codes, numbers), scale)| *scale = map.quantise(numbers, codes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `tests/golden/moments.safetensors`: bitsandbytes' formula and the nearest of its values by torch 2.15; made by
    /// `tests/golden/make_moments.py`.
    #[test]
    fn maps_and_codes_are_those_of_bitsandbytes_formula() -> Result<(), Box<dyn std::error::Error>> {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/moments.safetensors"))?;
        let golden = safetensors::SafeTensors::deserialize(&file)?;
        let numbers = |name: String| -> Result<Vec<f32>, Box<dyn std::error::Error>> {
            let four = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            Ok(golden.tensor(&name)?.data().chunks_exact(4).map(four).collect())
        };
        for (name, map) in [("signed", &*SIGNED), ("unsigned", &*UNSIGNED)] {
            for (ours, theirs) in map.values.iter().zip(numbers(format!("{name}/map"))?) {
                assert!((ours - theirs).abs() <= 2.0 * f32::EPSILON * theirs.abs(), "{name}: {ours} is not {theirs}");
            }
            let wanted = numbers(format!("{name}/numbers"))?;
            let (mut codes, mut scales) = (vec![0; wanted.len()], vec![0.0; wanted.len().div_ceil(BLOCK)]);
            Blocks { codes: &mut codes, scales: &mut scales }.write(map, &wanted);
            assert_eq!(scales, numbers(format!("{name}/scales"))?);
            assert_eq!(codes, golden.tensor(&format!("{name}/codes"))?.data(), "{name}");
        }
        Ok(())
    }

    proptest! {
        /// The table finds what a search among all borders finds.
        #[test]
        fn a_number_has_the_code_of_the_nearest_value(bits in 0..=1.0_f32.to_bits(), negative: bool) {
            let number = f32::from_bits(bits);
            for (map, number) in [(&*SIGNED, if negative { -number } else { number }), (&*UNSIGNED, number)] {
                let searched = map.borders.partition_point(|border| *border < number);
                prop_assert_eq!(usize::from(map.code(number)), searched, "{}", number);
            }
        }
    }

    /// So one comparison behind the table is enough.
    #[test]
    fn numbers_that_begin_alike_lie_on_both_sides_of_one_border_at_most() {
        for upper in (0..=0x3f80).chain(0x8000..=0xbf80) {
            let ends = [0_u32, 0xffff].map(|lower| f32::from_bits(upper << 16 | lower));
            for map in [&*SIGNED, &*UNSIGNED] {
                let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                let between = map.borders.iter().filter(|border| (low..high).contains(*border)).count();
                assert!(between <= 1, "{between} borders from {low} to {high}");
            }
        }
    }

    #[test]
    fn numbers_above_zero_stay_above_it_and_zeros_stay() {
        let numbers = [1.0, 1e-12, 0.0];
        let (mut codes, mut scales, mut back) = ([0; 3], [0.0], Vec::new());
        let mut blocks = Blocks { codes: &mut codes, scales: &mut scales };
        blocks.write(&UNSIGNED, &numbers);
        blocks.read(&UNSIGNED, &mut back);
        assert!(back[0] == 1.0 && back[1] > 0.0 && back[1] < 1e-6 && back[2] == 0.0, "{back:?}");
        blocks.write(&SIGNED, &[0.0; 3]);
        back.clear();
        blocks.read(&SIGNED, &mut back);
        assert_eq!(back, [0.0; 3]);
    }
}
