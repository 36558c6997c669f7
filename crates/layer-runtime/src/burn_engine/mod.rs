//! The engine of burn's own operations, for any device; a GPU's fusion makes kernels of them.
//!
//! It is also the twin that the CPU's kernels are compared with. Products and attention are computed in the type of
//! the weights (f32 or bf16); norms, softmax, rotation, gate and the residual stream in f32.

mod cache;
mod layer;
mod lm_head;
mod rectangles;
mod tensors;

use burn::tensor::{DType, Device, Tensor, TensorData};
use layer_ir::Dtype;
use tailor_registry::Entry;

use crate::Error;
use crate::batch::Batch;
use crate::engine::{Engine, EngineTraits, TokenEmbedding};
use crate::executor::{EngineEntry, RuntimeParts, Started};
use crate::weights::{LayerTensors, Sizes};

use cache::BurnCache;
use layer::{BurnLayer, BurnLayout};
use lm_head::BurnHead;
use rectangles::Rectangles;
use tensors::{bytes, indices};

/// The row of the table of engines.
pub(crate) struct BurnOperations;

impl Entry for BurnOperations {
    fn name(&self) -> &str {
        "burn"
    }

    fn summary(&self) -> &str {
        "burn's operations, on any device."
    }
}

impl EngineEntry for BurnOperations {
    fn serves(&self, _device: &Device) -> bool {
        true
    }

    /// # Errors
    /// [`Error::UnsupportedDtype`] when the type is f16 or bf16 and the device does not have it.
    fn start(&self, parts: RuntimeParts) -> Result<Started, Error> {
        let dtype = match parts.options.dtype {
            Dtype::F32 => DType::F32,
            Dtype::BF16 if parts.device.supports_dtype(DType::BF16) => DType::BF16,
            Dtype::F16 if parts.device.supports_dtype(DType::F16) => DType::F16,
            dtype => return Err(Error::UnsupportedDtype { dtype }),
        };
        Started::new(BurnEngine::new(parts.device.clone(), dtype), parts)
    }
}

/// Keeps weights as tensors of a type, in which the products and the attention are computed; all else is in f32.
#[derive(Debug)]
pub(crate) struct BurnEngine {
    device: Device,
    /// The type of weights and products.
    dtype: DType,
}

impl BurnEngine {
    /// `dtype` is the type of weights and products.
    pub fn new(device: Device, dtype: DType) -> Self {
        Self { device, dtype }
    }
}

impl Engine for BurnEngine {
    type Layout = BurnLayout;
    type Cache = BurnCache;
    type KeptState = Tensor<2>;
    type Embedding = BurnEmbedding;
    type Layer = BurnLayer;
    type Head = BurnHead;

    fn traits() -> EngineTraits {
        EngineTraits {
            // The operations of burn on the CPU use the pool by themselves.
            runs_on_rayon: false,
            bytes_of_one_thread: 0,
            cache_rows: 1,
        }
    }

    /// Puts the rotations and the rows of each span on the device.
    fn layout(&self, batch: &Batch) -> BurnLayout {
        let shape = [batch.tokens.len(), 1, batch.rotations.half];
        let tensor = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device);
        BurnLayout {
            rectangles: Rectangles::new(&batch.attention, &self.device),
            rotations: [tensor(&batch.rotations.cos), tensor(&batch.rotations.sin)],
        }
    }

    fn embedding(&self, tokens: Tensor<2>) -> Result<BurnEmbedding, Error> {
        Ok(BurnEmbedding(tokens.cast(self.dtype)))
    }

    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<BurnLayer, Error> {
        Ok(BurnLayer::new(sizes, tensors, self.dtype))
    }

    /// The norm stays in f32.
    fn lm_head(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<BurnHead, Error> {
        Ok(BurnHead::new(sizes, norm, head.cast(self.dtype)))
    }

    /// Operations copy what they would change and somebody else holds.
    fn keep(&self, x: Tensor<2>) -> Result<(Tensor<2>, Tensor<2>), Error> {
        Ok((x.clone(), x))
    }

    fn restore(&self, kept: &Tensor<2>) -> Result<Tensor<2>, Error> {
        Ok(kept.clone())
    }
}

/// `[vocabulary, hidden]`
#[derive(Debug)]
pub(crate) struct BurnEmbedding(Tensor<2>);

impl TokenEmbedding for BurnEmbedding {
    fn bytes(&self) -> usize {
        bytes(&self.0)
    }

    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error> {
        let rows = indices(tokens.iter().map(|token| *token as i32).collect(), &self.0.device());
        Ok(self.0.clone().select(0, rows).cast(DType::F32))
    }
}
