//! The arithmetic that merge methods are written in: once, for the CPU's caches and for any device.
//!
//! Only what formulas of merge methods need is here. Comparisons give masks and never branch, as a device demands. What
//! needs an order or a sum over all elements is found beforehand, by [`MergeOp::prepare`](crate::MergeOp::prepare).

use burn::tensor::{Bool, DType, Tensor, TensorData};
use layer_ir::Dtype;

use crate::precision::burn_dtype;

/// Flat numbers in f32, `[n]`. All that take part in one operation have one length. The operations are named as those
/// of burn's tensors.
///
/// [`Lanes`](crate::Lanes) holds a short run of them on the CPU, short enough that a chain of operations stays in the
/// innermost cache and becomes one pass over memory; a burn tensor holds a whole tensor on a device. Each operation
/// rounds once, on both.
///
/// Tests of a formula may use either; a generic one runs on both:
/// ```
/// use burn::tensor::{Device, Tensor};
/// use merge_ops::{Lanes, Numbers};
///
/// /// Numbers below 0 become 0.
/// fn relu<N: Numbers>(numbers: N) -> N {
///     let negative = numbers.lower_elem(0.0);
///     numbers.mask_fill(&negative, 0.0)
/// }
///
/// assert_eq!(*relu(Lanes::from(vec![-1.0, 2.0])).numbers(), [0.0, 2.0]);
/// let on_device = relu(Tensor::<1>::from_data([-1.0_f32, 2.0], &Device::flex()));
/// assert_eq!(on_device.try_into_vec_as::<f32>()?, [0.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Numbers: Clone + Sized {
    /// True or false for each number, `[n]`.
    type Mask: Clone;

    /// The length n.
    fn length(&self) -> usize;

    /// The number `value`, n times, on the same device.
    #[must_use]
    fn full_like(&self, value: f32) -> Self;

    /// These values, on the same device. Their length must be n.
    #[must_use]
    fn values_like(&self, values: Vec<f32>) -> Self;

    /// A mask that is true where `of` is. `of` gets the place in these numbers, from 0.
    #[must_use]
    fn mask_like(&self, of: impl Fn(usize) -> bool) -> Self::Mask;

    /// `self + other`, element by element.
    #[must_use]
    fn add(self, other: &Self) -> Self;

    /// `self - other`, element by element.
    #[must_use]
    fn sub(self, other: &Self) -> Self;

    /// `self * other`, element by element.
    #[must_use]
    fn mul(self, other: &Self) -> Self;

    /// `self / other`, element by element.
    #[must_use]
    fn div(self, other: &Self) -> Self;

    /// Each number times `by`.
    #[must_use]
    fn mul_scalar(self, by: f32) -> Self;

    /// Each number divided by `by`.
    #[must_use]
    fn div_scalar(self, by: f32) -> Self;

    /// `self + other * by`, rounded once; a device without f64 rounds twice.
    #[must_use]
    fn add_product(self, other: &Self, by: f32) -> Self;

    /// `self + other * by`, where the product is rounded to `precision` before it is added. The sum is in f32.
    #[must_use]
    fn add_rounded_product(self, other: &Self, by: f32, precision: Dtype) -> Self {
        self.add(&other.clone().mul_scalar(by).round(precision))
    }

    /// The magnitudes.
    #[must_use]
    fn abs(self) -> Self;

    /// Each number, but `least` where it is smaller and `most` where it is larger. Either may be infinite.
    #[must_use]
    fn clamp(self, least: f32, most: f32) -> Self;

    /// Where the numbers are below `than`; never where they are not-a-number.
    #[must_use]
    fn lower_elem(&self, than: f32) -> Self::Mask;

    /// Where the numbers are at most `than`.
    #[must_use]
    fn lower_equal_elem(&self, than: f32) -> Self::Mask;

    /// Where the numbers equal `to`.
    #[must_use]
    fn equal_elem(&self, to: f32) -> Self::Mask;

    /// Where one of two masks is true.
    #[must_use]
    fn either(one: &Self::Mask, other: &Self::Mask) -> Self::Mask;

    /// Where both of two masks are true.
    #[must_use]
    fn both(one: &Self::Mask, other: &Self::Mask) -> Self::Mask;

    /// The numbers, but `value` where the mask is true.
    #[must_use]
    fn mask_fill(self, mask: &Self::Mask, value: f32) -> Self;

    /// The numbers, but those of `other` where the mask is true.
    #[must_use]
    fn mask_where(self, mask: &Self::Mask, other: &Self) -> Self;

    /// Each number rounded to a format, as an operation in that format would leave it.
    #[must_use]
    fn round(self, precision: Dtype) -> Self;
}

impl Numbers for Tensor<1> {
    type Mask = Tensor<1, Bool>;

    fn length(&self) -> usize {
        self.dims()[0]
    }

    fn full_like(&self, value: f32) -> Self {
        Tensor::full(self.dims(), value, (&self.device(), DType::F32))
    }

    fn values_like(&self, values: Vec<f32>) -> Self {
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), (&self.device(), DType::F32))
    }

    fn mask_like(&self, of: impl Fn(usize) -> bool) -> Self::Mask {
        let values: Vec<f32> = (0..self.length()).map(|place| f32::from(of(place))).collect();
        Tensor::equal_elem(self.values_like(values), 1.0)
    }

    fn add(self, other: &Self) -> Self {
        self + other.clone()
    }

    fn sub(self, other: &Self) -> Self {
        self - other.clone()
    }

    fn mul(self, other: &Self) -> Self {
        self * other.clone()
    }

    fn div(self, other: &Self) -> Self {
        self / other.clone()
    }

    fn mul_scalar(self, by: f32) -> Self {
        Tensor::mul_scalar(self, by)
    }

    fn div_scalar(self, by: f32) -> Self {
        Tensor::div_scalar(self, by)
    }

    fn add_product(self, other: &Self, by: f32) -> Self {
        if self.device().supports_dtype(DType::F64) {
            // The product of two f32 is exact in f64; the sum there, rounded, differs from a fused one about once in
            // 2^29.
            let product = other.clone().cast(DType::F64).mul_scalar(f64::from(by));
            (product + self.cast(DType::F64)).cast(DType::F32)
        } else {
            Tensor::mul_scalar(other.clone(), by) + self
        }
    }

    fn abs(self) -> Self {
        Tensor::abs(self)
    }

    fn clamp(self, least: f32, most: f32) -> Self {
        Tensor::clamp(self, least, most)
    }

    fn lower_elem(&self, than: f32) -> Self::Mask {
        Tensor::lower_elem(self.clone(), than)
    }

    fn lower_equal_elem(&self, than: f32) -> Self::Mask {
        Tensor::lower_equal_elem(self.clone(), than)
    }

    fn equal_elem(&self, to: f32) -> Self::Mask {
        Tensor::equal_elem(self.clone(), to)
    }

    fn either(one: &Self::Mask, other: &Self::Mask) -> Self::Mask {
        one.clone().bool_or(other.clone())
    }

    fn both(one: &Self::Mask, other: &Self::Mask) -> Self::Mask {
        one.clone().bool_and(other.clone())
    }

    fn mask_fill(self, mask: &Self::Mask, value: f32) -> Self {
        Tensor::mask_fill(self, mask.clone(), value)
    }

    fn mask_where(self, mask: &Self::Mask, other: &Self) -> Self {
        Tensor::mask_where(self, mask.clone(), other.clone())
    }

    fn round(self, precision: Dtype) -> Self {
        match burn_dtype(precision) {
            DType::F32 => self,
            narrow => self.cast(narrow).cast(DType::F32),
        }
    }
}
