//! What a device must be able to do: the seam between the walk over layers and the kernels.

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::Error;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::weights::{LayerTensors, Sizes};

/// How many heads of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; each serves `queries / kv` query heads.
    pub kv: usize,
    /// Numbers per head.
    pub dim: usize,
}

/// Packed keys (after rotation) and values, `[rows, kv heads * dim]` each.
#[derive(Debug)]
pub(crate) struct KeyValues {
    pub keys: Tensor<2>,
    pub values: Tensor<2>,
}

/// A token whose probability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The row of the residual stream that predicts it.
    pub row: u32,
    /// The token.
    pub token: u32,
}

/// ln p of a target, and whether no other token is more likely (nor as likely with a lower id).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetScore {
    pub log_probability: f32,
    pub greedy: bool,
}

/// What differs from layer to layer beside the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerSettings {
    /// A query sees so many positions, its own included.
    pub window: Option<usize>,
    /// The residual stream is multiplied by this afterwards.
    pub scale: f32,
}

/// What a layer is run on, beside the residual stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerPass<'a> {
    pub settings: LayerSettings,
    pub batch: &'a Batch,
    /// The rows whose stream is asked for, ascending; absent: all. The others are seen, but not finished.
    pub wanted: Option<&'a [u32]>,
}

/// Lays weights out for a device.
pub(crate) trait Engine: Send + Sync {
    /// The token embedding `[vocabulary, hidden]`.
    fn embedding(&self, tokens: Tensor<2>) -> Result<Box<dyn Embedding>, Error>;

    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<Box<dyn Layer>, Error>;

    /// The final norm `[hidden]` and the head `[vocabulary, hidden]`.
    fn ending(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<Box<dyn Ending>, Error>;

    /// Whether it computes on the threads of rayon's pool.
    fn in_pool(&self) -> bool {
        false
    }

    /// Whether a thread computes sequences faster by itself than with others, if a layer takes so many bytes.
    fn alone(&self, _layer_bytes: usize) -> bool {
        false
    }

    /// How many rows of its caches a sequence takes at a time while it generates; 1 if rows have to stand in the order in which they are
    /// computed.
    fn cache_rows(&self) -> u32 {
        1
    }

    /// A stream twice, each of which can be written in place whatever becomes of the other; the first one is to be kept for long.
    fn doubled(&self, x: Tensor<2>) -> Result<[Tensor<2>; 2], Error> {
        Ok([x.clone(), x])
    }

    /// Takes a stream that nobody needs any more, for its memory.
    fn recycle(&self, _x: Tensor<2>) {}
}

/// What stands before the first layer.
pub(crate) trait Embedding: Debug + Send + Sync {
    /// What it takes in memory.
    fn bytes(&self) -> usize;

    /// The residual stream `[rows, hidden]` of some tokens, in f32.
    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error>;
}

/// A decoder layer, ready to run. Tensors are taken by value, as one that is owned alone is written in place.
pub(crate) trait Layer: Debug + Send + Sync {
    /// What it takes in memory.
    fn bytes(&self) -> usize;

    /// The residual stream `[rows, hidden]` after the layer, of the rows wanted. With a cache, keys and values are added to it, and
    /// the batch's key rows are rows of the cache.
    fn forward(&self, x: Tensor<2>, pass: LayerPass<'_>, cache: Option<&mut LayerCache>) -> Result<Tensor<2>, Error>;
}

/// What stands after the last layer.
pub(crate) trait Ending: Debug + Send + Sync {
    /// What it takes in memory.
    fn bytes(&self) -> usize;

    /// All logits of rows of the residual stream, a block of rows at a time.
    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error>;

    /// The scores of targets, whose rows ascend; on so many threads of the CPU.
    fn score(&self, x: Tensor<2>, targets: &[Target], threads: usize) -> Result<Vec<TargetScore>, Error>;

    /// The most likely token of each row, the lowest id if several are; on so many threads.
    fn most_likely(&self, x: Tensor<2>, threads: usize) -> Result<Vec<u32>, Error>;
}
