//! A short run of numbers on the CPU: merge methods work on it without leaving the innermost cache.
//!
//! Each operation is a plain loop, compiled for the widest vectors of the processor that it runs on. bf16 is widened in
//! the first operation that reads it, and the result is narrowed once it leaves, so no pass only converts.

use std::borrow::Cow;

use half::slice::HalfFloatSliceExt;
use layer_ir::Dtype;

use crate::Numbers;

/// How many numbers the CPU merges at a time: base, a few sources and what is computed of them stay in the first two
/// caches, and what a run costs beside its arithmetic is little.
pub(crate) const LANES: usize = 2048;

/// A short run of numbers on the CPU: [`Numbers`] in memory.
///
/// ```
/// use merge_ops::{Lanes, Numbers};
///
/// let mix = Lanes::from(vec![1.0, 2.0]).mul_scalar(0.5).add_product(&Lanes::from(vec![4.0, 8.0]), 0.25);
/// assert_eq!(*mix.numbers(), [1.5, 3.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Lanes<'a>(Held<'a>);

/// How the numbers of a run are held.
#[derive(Debug, Clone, PartialEq)]
enum Held<'a> {
    /// As f32, owned: what an operation leaves.
    Numbers(Vec<f32>),
    /// As a checkpoint stores them: read by the first operation, not before it, which would be one more pass.
    Bf16(&'a [[u8; 2]]),
}

/// True or false for each of them, as all bits or none, which masks a number without a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMask(Vec<u32>);

impl<'a> Lanes<'a> {
    /// Numbers as a checkpoint stores them, little-endian.
    pub(crate) fn stored(bytes: &'a [u8], dtype: Dtype) -> Self {
        Self(match dtype {
            Dtype::BF16 => Held::Bf16(bytes.as_chunks().0),
            Dtype::F16 => {
                let stored: Vec<half::f16> =
                    bytes.as_chunks().0.iter().map(|stored| half::f16::from_le_bytes(*stored)).collect();
                Held::Numbers(stored.to_f32_vec())
            }
            Dtype::F32 => Held::Numbers(dtype.to_f32(bytes)),
        })
    }

    /// As a checkpoint stores them, into as many bytes as they need.
    pub(crate) fn encode(&self, dtype: Dtype, bytes: &mut [u8]) {
        let numbers = self.numbers();
        match dtype {
            Dtype::BF16 => wide(|| {
                for (stored, number) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(&*numbers) {
                    *stored = ((bf16(*number) >> 16) as u16).to_le_bytes();
                }
            }),
            Dtype::F16 => {
                let mut stored = vec![half::f16::ZERO; numbers.len()];
                stored.convert_from_f32_slice(&numbers);
                for (bytes, stored) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(stored) {
                    *bytes = stored.to_le_bytes();
                }
            }
            Dtype::F32 => {
                for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&*numbers) {
                    *bytes = number.to_le_bytes();
                }
            }
        }
    }

    /// Divided in f64, rounded once.
    pub(crate) fn divided(self, by: f64) -> Self {
        self.each(move |number| (f64::from(number) / by) as f32)
    }

    /// The numbers, into a place of their length.
    pub(crate) fn copy_to(&self, place: &mut [f32]) {
        match &self.0 {
            Held::Numbers(numbers) => place.copy_from_slice(numbers),
            Held::Bf16(stored) => {
                wide(|| place.iter_mut().zip(*stored).for_each(|(place, stored)| *place = of_bf16(stored)));
            }
        }
    }

    /// The numbers.
    #[must_use]
    pub fn numbers(&self) -> Cow<'_, [f32]> {
        match &self.0 {
            Held::Numbers(numbers) => numbers.into(),
            Held::Bf16(_) => self.clone().into_vec().into(),
        }
    }

    /// The numbers, without a copy where they are held as f32.
    fn into_vec(self) -> Vec<f32> {
        match self.0 {
            Held::Numbers(numbers) => numbers,
            Held::Bf16(stored) => wide(|| stored.iter().map(of_bf16).collect()),
        }
    }

    /// A function of each number, in one pass.
    fn each(self, of: impl Fn(f32) -> f32) -> Self {
        Self(Held::Numbers(match self.0 {
            Held::Bf16(stored) => wide(move || stored.iter().map(|stored| of(of_bf16(stored))).collect()),
            Held::Numbers(mut numbers) => wide(move || {
                numbers.iter_mut().for_each(|number| *number = of(*number));
                numbers
            }),
        }))
    }

    /// A function of each number and the one of `other` at its place, in one pass for every pair of formats.
    fn with(self, other: &Self, of: impl Fn(f32, f32) -> f32) -> Self {
        Self(Held::Numbers(match (self.0, &other.0) {
            (Held::Numbers(mut numbers), Held::Numbers(others)) => wide(move || {
                numbers.iter_mut().zip(others).for_each(|(number, other)| *number = of(*number, *other));
                numbers
            }),
            (Held::Numbers(mut numbers), Held::Bf16(others)) => wide(move || {
                numbers.iter_mut().zip(*others).for_each(|(number, other)| *number = of(*number, of_bf16(other)));
                numbers
            }),
            (Held::Bf16(stored), Held::Numbers(others)) => {
                let pairs = stored.iter().zip(others);
                wide(move || pairs.map(|(stored, other)| of(of_bf16(stored), *other)).collect())
            }
            (Held::Bf16(stored), Held::Bf16(others)) => {
                let pairs = stored.iter().zip(*others);
                wide(move || pairs.map(|(stored, other)| of(of_bf16(stored), of_bf16(other))).collect())
            }
        }))
    }

    /// Where a condition holds.
    fn mask(&self, of: impl Fn(f32) -> bool) -> LaneMask {
        let numbers = self.numbers();
        LaneMask(wide(move || numbers.iter().map(|number| all_or_none(of(*number))).collect()))
    }
}

impl From<Vec<f32>> for Lanes<'_> {
    fn from(numbers: Vec<f32>) -> Self {
        Self(Held::Numbers(numbers))
    }
}

impl From<Lanes<'_>> for Vec<f32> {
    fn from(lanes: Lanes<'_>) -> Self {
        lanes.into_vec()
    }
}

impl Numbers for Lanes<'_> {
    type Mask = LaneMask;

    fn length(&self) -> usize {
        match &self.0 {
            Held::Numbers(numbers) => numbers.len(),
            Held::Bf16(stored) => stored.len(),
        }
    }

    fn full_like(&self, value: f32) -> Self {
        vec![value; self.length()].into()
    }

    fn values_like(&self, values: Vec<f32>) -> Self {
        values.into()
    }

    fn mask_like(&self, of: impl Fn(usize) -> bool) -> LaneMask {
        LaneMask((0..self.length()).map(|place| all_or_none(of(place))).collect())
    }

    fn add(self, other: &Self) -> Self {
        self.with(other, move |a, b| a + b)
    }

    fn sub(self, other: &Self) -> Self {
        self.with(other, move |a, b| a - b)
    }

    fn mul(self, other: &Self) -> Self {
        self.with(other, move |a, b| a * b)
    }

    fn div(self, other: &Self) -> Self {
        self.with(other, move |a, b| a / b)
    }

    fn mul_scalar(self, by: f32) -> Self {
        self.each(move |number| number * by)
    }

    fn div_scalar(self, by: f32) -> Self {
        self.each(move |number| number / by)
    }

    fn add_product(self, other: &Self, by: f32) -> Self {
        self.with(other, move |a, b| b.mul_add(by, a))
    }

    // One pass for three.
    fn add_rounded_product(self, other: &Self, by: f32, precision: Dtype) -> Self {
        match precision {
            Dtype::F32 => self.with(other, move |a, b| a + b * by),
            Dtype::BF16 => self.with(other, move |a, b| a + f32::from_bits(bf16(b * by))),
            Dtype::F16 => self.with(other, move |a, b| a + half::f16::from_f32(b * by).to_f32()),
        }
    }

    fn abs(self) -> Self {
        self.each(f32::abs)
    }

    fn clamp(self, least: f32, most: f32) -> Self {
        self.each(move |number| number.max(least).min(most))
    }

    fn lower_elem(&self, than: f32) -> LaneMask {
        self.mask(move |number| number < than)
    }

    fn lower_equal_elem(&self, than: f32) -> LaneMask {
        self.mask(move |number| number <= than)
    }

    fn equal_elem(&self, to: f32) -> LaneMask {
        self.mask(move |number| number == to)
    }

    fn either(one: &LaneMask, other: &LaneMask) -> LaneMask {
        LaneMask(one.0.iter().zip(&other.0).map(|(one, other)| one | other).collect())
    }

    fn both(one: &LaneMask, other: &LaneMask) -> LaneMask {
        LaneMask(one.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    fn mask_fill(self, mask: &LaneMask, value: f32) -> Self {
        let mut numbers = self.into_vec();
        let masked = numbers.iter_mut().zip(&mask.0);
        wide(|| masked.for_each(|(number, bits)| *number = chosen(*bits, value, *number)));
        numbers.into()
    }

    fn mask_where(self, mask: &LaneMask, other: &Self) -> Self {
        let (mut numbers, other) = (self.into_vec(), other.numbers());
        let masked = numbers.iter_mut().zip(&mask.0).zip(&*other);
        wide(|| masked.for_each(|((number, bits), other)| *number = chosen(*bits, *other, *number)));
        numbers.into()
    }

    fn round(self, precision: Dtype) -> Self {
        match precision {
            Dtype::F32 => self,
            Dtype::BF16 => self.each(move |number| f32::from_bits(bf16(number))),
            Dtype::F16 => self.each(move |number| half::f16::from_f32(number).to_f32()),
        }
    }
}

/// Runs a loop compiled for the widest vectors of the processor at hand.
fn wide<R>(run: impl FnOnce() -> R) -> R {
    tailor_simd::arch().dispatch(run)
}

/// A stored bf16 as f32, which holds it exactly.
#[inline(always)]
fn of_bf16(stored: &[u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(*stored)) << 16)
}

/// A truth value as a mask of bits.
#[inline(always)]
fn all_or_none(is: bool) -> u32 {
    if is { u32::MAX } else { 0 }
}

/// `there` where all bits are set, `elsewhere` where none is.
#[inline(always)]
fn chosen(bits: u32, there: f32, elsewhere: f32) -> f32 {
    f32::from_bits(bits & there.to_bits() | !bits & elsewhere.to_bits())
}

/// The bits of the nearest bf16, of two equally near ones the even; not-a-number stays it.
#[inline(always)]
fn bf16(number: f32) -> u32 {
    let bits = number.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    if number.is_nan() { bits & 0xffff_0000 | 0x0040_0000 } else { nearest }
}
