//! Tensors of the CPU as plain numbers, and back.
//!
//! burn's CPU backend hands a tensor's memory out without a copy if nobody else holds the tensor, so the kernels work
//! in place.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::Error;

/// A tensor's numbers in f32; not copied if the tensor is in f32 and owned alone.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    Ok(tensor.try_into_vec_as::<f32>()?)
}

/// Numbers `[rows, width]` as a tensor, not copied.
pub(super) fn matrix(values: Vec<f32>, width: usize) -> Tensor<2> {
    let rows = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [rows, width]), (&Device::flex(), DType::F32))
}
