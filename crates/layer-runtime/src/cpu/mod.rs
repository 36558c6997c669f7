//! The engine of the CPU: own kernels that keep a block of rows in a core's cache from one product to the next.
//!
//! burn's operations are one pass over memory each. Here a layer is two walks over blocks of rows, each on a thread of its own:
//! norm, projections and rotation; then, when all keys and values are known, attention, output, norm and the gated layer.

mod attend;
mod blocks;
mod embedding;
mod ending;
mod interleave;
mod layer;
pub(crate) mod linear;
mod lines;
mod pool;
mod rows;
mod simd;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::Error;
use crate::engine::{Embedding, Ending, Engine, Layer};
use crate::weights::{LayerTensors, Sizes};

pub(crate) use blocks::Blocks;
use embedding::CpuEmbedding;
use ending::CpuEnding;
use layer::CpuLayer;
pub(crate) use linear::Bf16Kernel;
use pool::Pool;

/// What a core's second cache holds at least on processors of today, less than half of it for what else is in use.
const CACHED_BYTES: usize = 768 << 10;

/// Rows of a sequence's own that stand together.
const CACHE_ROWS: u32 = 16;

/// Lays weights out in panels; in bf16 if it has a kernel for them.
#[derive(Debug)]
pub(crate) struct CpuEngine {
    bf16: Option<Bf16Kernel>,
    pool: Arc<Pool>,
}

impl CpuEngine {
    pub fn new(bf16: Option<Bf16Kernel>) -> Self {
        Self { bf16, pool: Arc::default() }
    }
}

impl Engine for CpuEngine {
    fn embedding(&self, tokens: Tensor<2>) -> Result<Box<dyn Embedding>, Error> {
        Ok(Box::new(CpuEmbedding::new(tokens, self.bf16.is_some(), Arc::clone(&self.pool))?))
    }

    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<Box<dyn Layer>, Error> {
        Ok(Box::new(CpuLayer::new(sizes, tensors, self.bf16, Arc::clone(&self.pool))?))
    }

    fn ending(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<Box<dyn Ending>, Error> {
        Ok(Box::new(CpuEnding::new(sizes, norm, head, self.bf16, Arc::clone(&self.pool))?))
    }

    fn in_pool(&self) -> bool {
        true
    }

    /// A layer that stays in a core's cache is read there again and again, and nobody waits for anybody between two layers.
    fn alone(&self, layer_bytes: usize) -> bool {
        layer_bytes <= CACHED_BYTES
    }

    /// Neighbours in memory, which the processor fetches before they are asked for.
    fn cache_rows(&self) -> u32 {
        CACHE_ROWS
    }

    fn doubled(&self, x: Tensor<2>) -> Result<[Tensor<2>; 2], Error> {
        let [_, width] = x.dims();
        let x = host(x)?;
        let copy = self.pool.copy(&x);
        Ok([copy, x].map(|values| matrix(values, width)))
    }

    fn recycle(&self, x: Tensor<2>) {
        if let Ok(x) = host(x) {
            self.pool.give(x);
        }
    }
}

/// The tensor's numbers; free if it is owned alone.
fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    Ok(tensor.try_into_vec_as::<f32>()?)
}

fn matrix(values: Vec<f32>, width: usize) -> Tensor<2> {
    let rows = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [rows, width]), (&Device::flex(), DType::F32))
}
