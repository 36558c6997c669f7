//! What all parts of the engine do with tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Bytes of a tensor.
pub(super) fn bytes<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims().iter().product::<usize>() * tensor.dtype().size()
}

/// `x / sqrt(mean(x^2) + eps) * weight`, each row of `x`, `[rows, width]`, by itself.
pub(super) fn rms_norm(x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + eps).sqrt().recip();
    x * scale * weight.clone().unsqueeze()
}

/// Row numbers as a tensor on the device.
pub(super) fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}
