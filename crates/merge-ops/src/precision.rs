//! Rounding to the number format in which a merge computes.

use burn::tensor::{DType, Tensor};
use layer_ir::Dtype;

/// Rounds f32 numbers to a format, as each elementary operation in that format would; the result is f32 again.
///
/// The device must hold the format, as [`Device::supports_dtype`](burn::tensor::Device::supports_dtype) says.
#[must_use]
pub fn round(tensor: Tensor<1>, precision: Dtype) -> Tensor<1> {
    match burn_dtype(precision) {
        DType::F32 => tensor,
        narrow => tensor.cast(narrow).cast(DType::F32),
    }
}

/// As [`round`], of one number.
pub(crate) fn round_number(number: f32, precision: Dtype) -> f32 {
    match precision {
        Dtype::F32 => number,
        Dtype::BF16 => half::bf16::from_f32(number).to_f32(),
        Dtype::F16 => half::f16::from_f32(number).to_f32(),
    }
}

pub(crate) fn round_all(numbers: &mut [f32], precision: Dtype) {
    if precision != Dtype::F32 {
        numbers.iter_mut().for_each(|number| *number = round_number(*number, precision));
    }
}

pub(crate) fn burn_dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
    }
}

/// The bytes of numbers as a file stores them.
pub(crate) fn encode(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * dtype.size_in_bytes()];
    match dtype {
        Dtype::F32 => {
            for (out, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
                *out = number.to_le_bytes();
            }
        }
        Dtype::BF16 => {
            for (out, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
                *out = half::bf16::from_f32(*number).to_le_bytes();
            }
        }
        Dtype::F16 => {
            for (out, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
                *out = half::f16::from_f32(*number).to_le_bytes();
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_rounds_as_its_numbers_do() -> Result<(), Box<dyn std::error::Error>> {
        let numbers = [1.0, 1.003_906_3, 1.003_9, -5.431_592_7, 1e-30, 65_505.0];
        for precision in [Dtype::BF16, Dtype::F16, Dtype::F32] {
            let expected = numbers.map(|number| round_number(number, precision));
            let found = round(Tensor::from_data(numbers, &burn::tensor::Device::flex()), precision);
            assert_eq!(found.try_into_vec_as::<f32>()?, expected, "{precision:?}");
            assert_eq!(precision.to_f32(&encode(&numbers, precision)), expected, "{precision:?}");
        }
        Ok(())
    }
}
