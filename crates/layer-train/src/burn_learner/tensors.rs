//! What all parts of the learner do with tensors.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::Error;

/// Numbers as a tensor of f32 on the device.
pub(super) fn numbers(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), (device, DType::F32))
}

/// A table of f32 on the device, its rows one after the other.
pub(super) fn table<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Row numbers on the device.
pub(super) fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// The numbers of some tensors, one after the other, with one wait for the device for each.
pub(super) fn fetch<'a>(tensors: impl Iterator<Item = &'a Tensor<1>>) -> Result<Vec<f32>, Error> {
    let mut values = Vec::new();
    for tensor in tensors {
        let part = tensor.clone().try_into_vec_as::<f32>()?;
        // A single tensor's numbers are taken as they are.
        if values.is_empty() { values = part } else { values.extend_from_slice(&part) }
    }
    Ok(values)
}

/// `x / sqrt(mean(x^2) + eps) * weight`, each row of `x`, `[rows, width]`, by itself; the weight is `[width]`.
pub(super) fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + eps).sqrt().recip();
    x * scale * weight.unsqueeze()
}
