//! The decoder's operations beside its matrix products: plain burn for every device, own kernels for the CPU.

mod attend;
mod cpu;
mod plain;
mod simd;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

use crate::Error;
use crate::batch::Batch;

pub(crate) use cpu::CpuOps;
pub(crate) use plain::{Grid, PlainOps, indices};

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

/// The weights of Qwen3's norms over each head's query and key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadNorms<'a> {
    pub query: &'a Tensor<1>,
    pub key: &'a Tensor<1>,
    pub eps: f64,
}

/// A token whose probability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The row of the logits.
    pub row: usize,
    /// The token.
    pub token: u32,
}

/// ln p of a target, and whether no other token is more likely (nor as likely with a lower id).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetScore {
    pub log_probability: f32,
    pub greedy: bool,
}

/// What the decoder computes between its products. Tensors are taken by value and handed back where they live on, as
/// only a tensor owned alone is read and written without a copy.
pub(crate) trait Ops: Send + Sync {
    /// `(x, x / sqrt(mean(x^2) + eps) * weight)`, each row by itself.
    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Result<(Tensor<2>, Tensor<2>), Error>;

    /// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the first two by their positions:
    /// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of each head, as Hugging Face does.
    fn rotate(
        &self,
        qkv: Tensor<2>,
        norms: Option<HeadNorms<'_>>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error>;

    /// softmax(q k^T / sqrt(dim)) v for what each query sees, `[queries, heads * dim]`; hands the keys and values back.
    fn attend(
        &self,
        queries: Tensor<2>,
        seen: KeyValues,
        window: Option<usize>,
        heads: Heads,
        batch: &Batch,
    ) -> Result<(Tensor<2>, KeyValues), Error>;

    /// `[n, 2f]`, gate and up side by side, to silu(gate) * up, `[n, f]`.
    fn swiglu(&self, gate_up: Tensor<2>) -> Result<Tensor<2>, Error>;

    /// The scores of targets, whose rows ascend, from logits `[rows, vocabulary]`.
    fn score(&self, logits: Tensor<2>, targets: &[Target]) -> Result<Vec<TargetScore>, Error>;

    /// The most likely token of each row, the lowest id if several are.
    fn most_likely(&self, logits: Tensor<2>) -> Result<Vec<u32>, Error>;
}
