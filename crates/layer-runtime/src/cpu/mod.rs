//! The engine of the CPU: own kernels that keep a block of rows in a core's cache from one product to the next.
//!
//! An operation of burn is one pass over memory. Here a layer is two walks over blocks of rows, each block on a
//! thread of its own. The first one computes norm, projections and rotation; the second one, once all keys and values
//! are known, attention, output, norm and the gated layer.

mod attend;
mod blocks;
mod buffers;
mod cache;
mod cache_aligned;
mod embedding;
mod host;
mod interleave;
mod layer;
mod linear;
mod lm_head;
mod rows;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use layer_ir::Dtype;
use tailor_registry::Entry;
use tailor_simd::{caches, instruction_set};

use crate::Error;
use crate::batch::Batch;
use crate::engine::{Engine, EngineTraits};
use crate::executor::{EngineEntry, RuntimeParts, Started};
use crate::weights::{LayerTensors, Sizes};

use blocks::Blocks;
use buffers::BufferPool;
use cache::CpuCache;
use embedding::CpuEmbedding;
use host::{host, matrix};
use layer::CpuLayer;
pub(crate) use linear::instruction_sets;
use linear::{Kernels, Products};
use lm_head::CpuHead;

/// The row of the table of engines.
pub(crate) struct OwnKernels;

impl Entry for OwnKernels {
    fn name(&self) -> &str {
        "cpu"
    }

    fn summary(&self) -> &str {
        "Own kernels for the CPU."
    }
}

impl EngineEntry for OwnKernels {
    /// The kernels read a flex tensor's memory in place; on another device that would be a transfer.
    fn serves(&self, device: &Device) -> bool {
        *device == Device::flex()
    }

    fn start(&self, parts: RuntimeParts) -> Result<Started, Error> {
        instruction_set()?;
        let products = match parts.options.dtype {
            Dtype::BF16 => Products::Bf16,
            Dtype::F32 | Dtype::F16 => Products::F32,
        };
        let engine = CpuEngine::new(Kernels::best(products));
        Started::new(CpuEngine { f16: parts.options.dtype == Dtype::F16, ..engine }, parts)
    }
}

/// Lays weights out in panels, for the fastest kernels of the processor.
#[derive(Debug)]
pub(crate) struct CpuEngine {
    kernels: Kernels,
    /// Whether weights are rounded to f16 before they are used in f32: what a checkpoint in f16 holds.
    f16: bool,
    pool: Arc<BufferPool>,
}

impl CpuEngine {
    pub fn new(kernels: Kernels) -> Self {
        Self { kernels, f16: false, pool: Arc::default() }
    }

    /// A weight as it is used.
    fn stored<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        if self.f16 { weight.cast(DType::F16).cast(DType::F32) } else { weight }
    }
}

/// A residual stream `[rows, hidden]` that is kept, in the host's memory.
#[derive(Debug)]
pub(crate) struct KeptStream {
    values: Vec<f32>,
    hidden: usize,
}

impl Engine for CpuEngine {
    type Layout = Blocks;
    type Cache = CpuCache;
    type KeptState = Arc<KeptStream>;
    type Embedding = CpuEmbedding;
    type Layer = CpuLayer;
    type Head = CpuHead;

    fn traits() -> EngineTraits {
        EngineTraits {
            runs_on_rayon: true,
            // A layer that stays in a core's second cache beside activations is read there again and again, and no
            // thread waits for another between two layers. Beyond 768 KiB the waiting costs less than the reading.
            bytes_of_one_thread: (caches().second / 4 * 3).min(768 << 10),
            // Neighbours in memory, which the processor fetches before they are asked for.
            cache_rows: 16,
        }
    }

    fn layout(&self, batch: &Batch) -> Blocks {
        Blocks::all(&batch.attention, batch.threads)
    }

    fn embedding(&self, tokens: Tensor<2>) -> Result<CpuEmbedding, Error> {
        CpuEmbedding::new(self.stored(tokens), self.kernels.products, Arc::clone(&self.pool))
    }

    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<CpuLayer, Error> {
        let tensors = if self.f16 { tensors.map(|tensor| self.stored(tensor)) } else { tensors };
        CpuLayer::new(sizes, tensors, &self.kernels, Arc::clone(&self.pool))
    }

    fn lm_head(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<CpuHead, Error> {
        CpuHead::new(sizes, self.stored(norm), self.stored(head), &self.kernels, Arc::clone(&self.pool))
    }

    fn keep(&self, x: Tensor<2>) -> Result<(Arc<KeptStream>, Tensor<2>), Error> {
        let [_, hidden] = x.dims();
        let values = host(x)?;
        let kept = KeptStream { values: self.pool.copy(&values), hidden };
        Ok((Arc::new(kept), matrix(values, hidden)))
    }

    fn restore(&self, kept: &Arc<KeptStream>) -> Result<Tensor<2>, Error> {
        Ok(matrix(self.pool.copy(&kept.values), kept.hidden))
    }

    fn recycle(&self, kept: Arc<KeptStream>) {
        // Another thread may be restoring it.
        if let Ok(kept) = Arc::try_unwrap(kept) {
            self.pool.give(kept.values);
        }
    }
}
