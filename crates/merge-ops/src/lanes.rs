//! A short run of numbers on the CPU: merge methods work on it without leaving the innermost cache.

use half::slice::HalfFloatSliceExt;
use layer_ir::Dtype;

use crate::Numbers;

/// How many numbers the CPU merges at a time: base, a few sources and what is computed of them fit into 32 KiB.
pub(crate) const LANES: usize = 1024;

/// A short run of numbers on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Lanes(Vec<f32>);

/// True or false for each of them: all bits or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneMask(Vec<u32>);

impl Lanes {
    /// Numbers as a checkpoint stores them, little-endian.
    pub(crate) fn decode(bytes: &[u8], dtype: Dtype) -> Self {
        Self(match dtype {
            Dtype::BF16 => wide(|| bytes.as_chunks().0.iter().map(|stored| of_bf16(*stored)).collect()),
            Dtype::F16 => {
                let stored: Vec<half::f16> =
                    bytes.as_chunks().0.iter().map(|stored| half::f16::from_le_bytes(*stored)).collect();
                stored.to_f32_vec()
            }
            Dtype::F32 => dtype.to_f32(bytes),
        })
    }

    /// The differences of stored numbers to others that are stored alike.
    pub(crate) fn decode_difference(bytes: &[u8], base: &[u8], dtype: Dtype) -> Self {
        if dtype != Dtype::BF16 {
            return Self::decode(bytes, dtype).sub(&Self::decode(base, dtype));
        }
        let pairs = bytes.as_chunks().0.iter().zip(base.as_chunks().0);
        Self(wide(|| pairs.map(|(stored, base)| of_bf16(*stored) - of_bf16(*base)).collect()))
    }

    /// As a checkpoint stores them, into as many bytes as they need.
    pub(crate) fn encode(&self, dtype: Dtype, bytes: &mut [u8]) {
        match dtype {
            Dtype::BF16 => wide(|| {
                for (stored, number) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(&self.0) {
                    *stored = ((bf16(*number) >> 16) as u16).to_le_bytes();
                }
            }),
            Dtype::F16 => {
                let mut stored = vec![half::f16::ZERO; self.0.len()];
                stored.convert_from_f32_slice(&self.0);
                for (bytes, stored) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(stored) {
                    *bytes = stored.to_le_bytes();
                }
            }
            Dtype::F32 => {
                for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&self.0) {
                    *bytes = number.to_le_bytes();
                }
            }
        }
    }

    /// Divided in f64, rounded once.
    pub(crate) fn divided(self, by: f64) -> Self {
        self.each(|number| (f64::from(number) / by) as f32)
    }

    /// The numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    fn each(mut self, of: impl Fn(f32) -> f32) -> Self {
        wide(|| self.0.iter_mut().for_each(|number| *number = of(*number)));
        self
    }

    fn with(mut self, other: &Self, of: impl Fn(f32, f32) -> f32) -> Self {
        wide(|| self.0.iter_mut().zip(&other.0).for_each(|(number, other)| *number = of(*number, *other)));
        self
    }

    fn mask(&self, of: impl Fn(f32) -> bool) -> LaneMask {
        let mut mask = vec![0; self.0.len()];
        wide(|| mask.iter_mut().zip(&self.0).for_each(|(bits, number)| *bits = all_or_none(of(*number))));
        LaneMask(mask)
    }
}

impl From<Vec<f32>> for Lanes {
    fn from(numbers: Vec<f32>) -> Self {
        Self(numbers)
    }
}

impl From<Lanes> for Vec<f32> {
    fn from(lanes: Lanes) -> Self {
        lanes.0
    }
}

impl Numbers for Lanes {
    type Mask = LaneMask;

    fn length(&self) -> usize {
        self.0.len()
    }

    fn full_like(&self, value: f32) -> Self {
        Self(vec![value; self.0.len()])
    }

    fn values_like(&self, values: Vec<f32>) -> Self {
        Self(values)
    }

    fn mask_like(&self, of: impl Fn(usize) -> bool) -> LaneMask {
        LaneMask((0..self.0.len()).map(|place| all_or_none(of(place))).collect())
    }

    fn add(self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    fn sub(self, other: &Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    fn mul(self, other: &Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    fn div(self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }

    fn mul_scalar(self, by: f32) -> Self {
        self.each(|number| number * by)
    }

    fn div_scalar(self, by: f32) -> Self {
        self.each(|number| number / by)
    }

    fn add_product(self, other: &Self, by: f32) -> Self {
        self.with(other, |a, b| b.mul_add(by, a))
    }

    fn abs(self) -> Self {
        self.each(f32::abs)
    }

    fn clamp(self, least: f32, most: f32) -> Self {
        self.each(|number| number.max(least).min(most))
    }

    fn lower_elem(&self, than: f32) -> LaneMask {
        self.mask(|number| number < than)
    }

    fn lower_equal_elem(&self, than: f32) -> LaneMask {
        self.mask(|number| number <= than)
    }

    fn equal_elem(&self, to: f32) -> LaneMask {
        self.mask(|number| number == to)
    }

    fn either(one: &LaneMask, other: &LaneMask) -> LaneMask {
        LaneMask(one.0.iter().zip(&other.0).map(|(one, other)| one | other).collect())
    }

    fn both(one: &LaneMask, other: &LaneMask) -> LaneMask {
        LaneMask(one.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    fn mask_fill(mut self, mask: &LaneMask, value: f32) -> Self {
        let numbers = &mut self.0;
        wide(|| numbers.iter_mut().zip(&mask.0).for_each(|(number, bits)| *number = chosen(*bits, value, *number)));
        self
    }

    fn mask_where(mut self, mask: &LaneMask, other: &Self) -> Self {
        let numbers = self.0.iter_mut().zip(&mask.0).zip(&other.0);
        wide(|| numbers.for_each(|((number, bits), other)| *number = chosen(*bits, *other, *number)));
        self
    }

    fn round(self, precision: Dtype) -> Self {
        match precision {
            Dtype::F32 => self,
            Dtype::BF16 => self.each(|number| f32::from_bits(bf16(number))),
            Dtype::F16 => self.each(|number| half::f16::from_f32(number).to_f32()),
        }
    }
}

/// Runs a loop compiled for the widest vectors of the processor at hand.
fn wide<R>(run: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(run)
}

#[inline(always)]
fn of_bf16(stored: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(stored)) << 16)
}

#[inline(always)]
fn all_or_none(is: bool) -> u32 {
    if is { u32::MAX } else { 0 }
}

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
