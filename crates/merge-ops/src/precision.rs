//! Rounding to the number format in which a merge computes.
//!
//! A recipe may ask for bf16 or f16 (`compute`), as mergekit's `dtype` does. Numbers stay in f32 between operations,
//! and after each one that torch would make in that format they are rounded to it. To nearest, of two equally near ones
//! the even.

use burn::tensor::DType;
use layer_ir::Dtype;

/// A number as each elementary operation in a format would leave it.
pub(crate) fn round_number(number: f32, precision: Dtype) -> f32 {
    match precision {
        Dtype::F32 => number,
        Dtype::BF16 => half::bf16::from_f32(number).to_f32(),
        Dtype::F16 => half::f16::from_f32(number).to_f32(),
    }
}

/// Rounds each number in place.
pub(crate) fn round_all(numbers: &mut [f32], precision: Dtype) {
    if precision != Dtype::F32 {
        numbers.iter_mut().for_each(|number| *number = round_number(*number, precision));
    }
}

/// burn's name of a stored format.
pub(crate) fn burn_dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{Lanes, Numbers};

    #[test]
    fn tensors_and_lanes_round_as_numbers_do() -> Result<(), Box<dyn std::error::Error>> {
        let numbers = [1.0, 1.003_906_3, 1.003_9, -5.431_592_7, 1e-30, 65_505.0, -0.0, 3.0e38, f32::INFINITY];
        for precision in [Dtype::BF16, Dtype::F16, Dtype::F32] {
            let expected = numbers.map(|number| round_number(number, precision));
            let tensor = Numbers::round(Tensor::<1>::from_data(numbers, &Device::flex()), precision);
            assert_eq!(tensor.try_into_vec_as::<f32>()?, expected, "{precision:?}");
            let lanes = Lanes::from(numbers.to_vec());
            assert_eq!(*lanes.clone().round(precision).numbers(), expected, "{precision:?}");
            let mut bytes = vec![0; numbers.len() * precision.size_in_bytes()];
            lanes.encode(precision, &mut bytes);
            assert_eq!(precision.to_f32(&bytes), expected, "{precision:?}");
            assert_eq!(*Lanes::stored(&bytes, precision).numbers(), expected, "{precision:?}");
        }
        let nan = Lanes::from(vec![f32::NAN, f32::from_bits(0x7f80_0001)]).round(Dtype::BF16);
        assert!(nan.numbers().iter().all(|number| number.is_nan()));
        Ok(())
    }

    #[test]
    fn a_rounded_product_is_added_as_in_two_steps() -> Result<(), Box<dyn std::error::Error>> {
        let (to, of, by) = ([1.0, -0.3, 2.5e-3, 70.0], [1.003_9, 0.7, -3.1e-3, 1e-3], 0.333);
        for precision in [Dtype::BF16, Dtype::F16, Dtype::F32] {
            let expected: Vec<f32> =
                to.iter().zip(of).map(|(to, of): (&f32, f32)| to + round_number(of * by, precision)).collect();
            let lanes = Lanes::from(to.to_vec()).add_rounded_product(&of.to_vec().into(), by, precision);
            assert_eq!(*lanes.numbers(), expected, "{precision:?}");
            let tensor = |numbers| Tensor::<1>::from_data(numbers, &Device::flex());
            let tensor = Numbers::add_rounded_product(tensor(to), &tensor(of), by, precision);
            assert_eq!(tensor.try_into_vec_as::<f32>()?, expected, "{precision:?}");
        }
        Ok(())
    }
}
