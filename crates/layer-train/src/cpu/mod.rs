//! The layer on the CPU: products by the crate `gemm`, everything between them by loops over whole registers.
//!
//! Work is shared out by blocks of rows, by heads and sequences, and, for the gradients of weights, by blocks of
//! outputs. No two threads add to one number, and no cut depends on the number of threads.
//!
//! | file | what |
//! |---|---|
//! | `forward.rs`, `backward.rs` | the layer and its gradient |
//! | `attention.rs` | attention within sequences |
//! | `norm.rs`, `rotate.rs`, `gate.rs` | what stands between products |
//! | `weight.rs` | a projection, forward and backward |

mod attention;
mod backward;
mod forward;
mod gate;
pub(crate) mod norm;
mod rotate;
mod weight;

use std::sync::Arc;

use layer_ir::{ModelConfig, Role};

use crate::buffers::Buffers;
use crate::layer::{KeptActivations, LayerEngine, LayerWeights};
use crate::{Error, LayerLayout, Layout, PackedBatch};
use attention::Heads;
use rotate::HeadNorm;
use weight::Projection;

/// Sizes that all layers share.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    hidden: usize,
    intermediate: usize,
    heads: Heads,
    eps: f32,
}

impl Sizes {
    /// Numbers of a row of all query heads.
    fn q(&self) -> usize {
        self.heads.queries * self.heads.dim
    }

    /// Numbers of a row of all key heads.
    fn kv(&self) -> usize {
        self.heads.kv * self.heads.dim
    }

    /// Numbers of a row of queries, keys and values.
    fn qkv(&self) -> usize {
        self.q() + 2 * self.kv()
    }
}

/// Computes layers of one model on the CPU.
#[derive(Debug)]
pub struct CpuLayers {
    sizes: Sizes,
    layout: LayerLayout,
    buffers: Arc<Buffers>,
}

/// A layer's weights by name.
struct Weights<'a> {
    values: &'a [f32],
    layout: &'a LayerLayout,
    sizes: Sizes,
}

impl<'a> Weights<'a> {
    fn of(&self, role: Role) -> &'a [f32] {
        &self.values[self.layout.of(role)]
    }

    /// A projection to `outputs` numbers with its bias, if it has one.
    fn projection(&self, weight: Role, bias: Role, outputs: usize) -> Projection<'a> {
        let bias = self.layout.get(bias).map(|range| &self.values[range]);
        Projection { weight: self.of(weight), bias, outputs }
    }

    /// Projections to queries, keys and values.
    fn qkv(&self) -> [Projection<'a>; 3] {
        let (q, kv) = (self.sizes.q(), self.sizes.kv());
        [
            self.projection(Role::QProj, Role::QBias, q),
            self.projection(Role::KProj, Role::KBias, kv),
            self.projection(Role::VProj, Role::VBias, kv),
        ]
    }

    fn output(&self) -> Projection<'a> {
        self.projection(Role::OProj, Role::OBias, self.sizes.hidden)
    }

    fn gate(&self) -> Projection<'a> {
        self.projection(Role::GateProj, Role::GateBias, self.sizes.intermediate)
    }

    fn up(&self) -> Projection<'a> {
        self.projection(Role::UpProj, Role::UpBias, self.sizes.intermediate)
    }

    fn down(&self) -> Projection<'a> {
        self.projection(Role::DownProj, Role::DownBias, self.sizes.hidden)
    }

    /// The norm of each head's queries or keys, where the model has such.
    fn head_norm(&self, role: Role) -> Option<HeadNorm<'a>> {
        let weight = self.layout.get(role).map(|range| &self.values[range])?;
        Some(HeadNorm { weight, eps: self.sizes.eps })
    }
}

impl CpuLayers {
    /// For the layers of a model; streams come from `buffers` and go back there.
    pub(crate) fn new(layout: &Layout, buffers: Arc<Buffers>) -> Self {
        let config: &ModelConfig = layout.config();
        let heads = Heads { queries: config.num_heads, kv: config.num_kv_heads, dim: config.head_dim };
        let sizes = Sizes {
            hidden: config.hidden_size,
            intermediate: config.intermediate_size,
            heads,
            eps: config.rms_norm_eps as f32,
        };
        Self { sizes, layout: layout.layer_layout().clone(), buffers }
    }

    fn weights<'a>(&'a self, weights: LayerWeights<'a>) -> Weights<'a> {
        Weights { values: weights.values, layout: &self.layout, sizes: self.sizes }
    }
}

impl LayerEngine for CpuLayers {
    fn forward(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        keep: bool,
    ) -> Result<(Vec<f32>, Option<KeptActivations>), Error> {
        let mut out = self.buffers.take(x.len());
        let inner = self.activations(weights, batch, x, Some(&mut out));
        if keep {
            return Ok((out, Some(inner.into_kept())));
        }
        inner.recycle(&self.buffers);
        Ok((out, None))
    }

    fn backward(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        kept: Option<KeptActivations>,
        d_out: Vec<f32>,
        d_weights: Option<&mut [f32]>,
    ) -> Result<Vec<f32>, Error> {
        let known = kept.and_then(forward::Activations::from_kept);
        let inner = known.unwrap_or_else(|| self.activations(weights, batch, x, None));
        Ok(self.gradients(weights, batch, x, inner, d_out, d_weights))
    }

    /// Queries, keys, values, what attention gathers, the stream between, gate and up; with norms of heads also queries
    /// and keys before these.
    fn kept_bytes(&self, rows: usize) -> usize {
        let Sizes { hidden, intermediate, .. } = self.sizes;
        let (q, kv) = (self.sizes.q(), self.sizes.kv());
        let before_norms = if self.layout.get(Role::QNorm).is_some() { self.sizes.qkv() } else { 0 };
        rows * (2 * q + 2 * kv + before_norms + hidden + 2 * intermediate) * size_of::<f32>()
    }
}
