//! A layer forward, in four steps: projections by blocks of rows; heads; attention; output and MLP by blocks of rows.

use layer_ir::Role;
use rayon::prelude::*;

use super::attention::Attention;
use super::gate::Gate;
use super::rotate::TakeHead;
use super::{CpuLayers, Sizes, Weights};
use crate::PackedBatch;
use crate::blocks::row_block;
use crate::buffers::Buffers;
use crate::layer::{KeptActivations, LayerWeights};
use tailor_simd::{RmsNorm, Store, run};

/// What a layer computes on its way and its gradient needs.
pub(super) struct Activations {
    /// Queries, `[heads, rows, dim]`, after norm and rotation.
    pub q: Vec<f32>,
    /// Keys, likewise.
    pub k: Vec<f32>,
    /// Values, `[kv, rows, dim]`.
    pub v: Vec<f32>,
    /// Queries, keys and values before norms and rotation, `[rows, q + 2 kv]`; empty where heads have no norm.
    pub qkv: Vec<f32>,
    /// What attention gathers, `[rows, q]`.
    pub attended: Vec<f32>,
    /// The stream between attention and MLP, `[rows, hidden]`.
    pub middle: Vec<f32>,
    /// `[rows, intermediate]`
    pub gate: Vec<f32>,
    /// `[rows, intermediate]`
    pub up: Vec<f32>,
}

impl Activations {
    pub fn into_kept(self) -> KeptActivations {
        let Self { q, k, v, qkv, attended, middle, gate, up } = self;
        KeptActivations(vec![q, k, v, qkv, attended, middle, gate, up])
    }

    /// `None` for what another engine kept.
    pub fn from_kept(kept: KeptActivations) -> Option<Self> {
        let [q, k, v, qkv, attended, middle, gate, up] = <[Vec<f32>; 8]>::try_from(kept.0).ok()?;
        Some(Self { q, k, v, qkv, attended, middle, gate, up })
    }

    pub fn recycle(self, buffers: &Buffers) {
        let Self { q, k, v, qkv, attended, middle, gate, up } = self;
        buffers.give([q, k, v, qkv, attended, middle, gate, up]);
    }
}

impl CpuLayers {
    /// A layer's activations from the stream before it, and the stream behind it where that is wanted.
    pub(super) fn activations(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        out: Option<&mut [f32]>,
    ) -> Activations {
        let window = weights.window;
        let weights = self.weights(weights);
        let rows = batch.rows();
        let qkv = self.project(&weights, x, rows);
        let [q, k, v] = self.heads(&weights, batch, &qkv);
        let heads = self.sizes.heads;
        let sequences = batch.sequences();
        let mut by_head = self.buffers.take(q.len());
        let attention = Attention { q: &q, k: &k, v: &v, heads, rows, sequences, window };
        attention.forward(&mut by_head, &self.buffers);
        let qkv = if weights.head_norm(Role::QNorm).is_some() {
            qkv
        } else {
            self.buffers.give([qkv]);
            Vec::new()
        };
        let (attended, middle) = self.attention_output(&weights, &by_head, x, rows);
        self.buffers.give([by_head]);
        let [gate, up] = self.mlp(&weights, &middle, rows, out);
        Activations { q, k, v, qkv, attended, middle, gate, up }
    }

    /// Norm and projections: queries, keys and values of all rows, `[rows, q + 2 kv]`.
    fn project(&self, weights: &Weights<'_>, x: &[f32], rows: usize) -> Vec<f32> {
        let (hidden, width) = (self.sizes.hidden, self.sizes.qkv());
        let mut qkv = self.buffers.take(rows * width);
        let size = row_block(rows);
        let blocks = qkv.par_chunks_mut(size * width).zip(x.par_chunks(size * hidden));
        blocks.with_max_len(1).for_each(|(qkv, x)| {
            let mut normed = self.buffers.take(x.len());
            run(RmsNorm { x, weight: weights.of(Role::InputNorm), eps: self.sizes.eps, out: &mut normed });
            let mut first = 0;
            for projection in weights.qkv() {
                projection.forward(&normed, &mut qkv[first..], width, Store::Set);
                first += projection.outputs;
            }
            self.buffers.give([normed]);
        });
        qkv
    }

    /// Queries and keys by heads, after norms and rotation, and values.
    fn heads(&self, weights: &Weights<'_>, batch: &PackedBatch, qkv: &[f32]) -> [Vec<f32>; 3] {
        let Sizes { heads, .. } = self.sizes;
        let (q, kv, width, rows) = (self.sizes.q(), self.sizes.kv(), self.sizes.qkv(), batch.rows());
        let turns = Some((batch.cos.as_slice(), batch.sin.as_slice()));
        let parts = [
            (0, q, weights.head_norm(Role::QNorm), turns),
            (q, kv, weights.head_norm(Role::KNorm), turns),
            (q + kv, kv, None, None),
        ];
        parts.map(|(start, numbers, norm, turns)| {
            let mut taken = self.buffers.take(rows * numbers);
            taken.par_chunks_mut(rows * heads.dim).enumerate().with_max_len(1).for_each(|(head, out)| {
                let first = start + head * heads.dim;
                run(TakeHead { from: qkv, width, columns: first..first + heads.dim, norm, turns, out });
            });
            taken
        })
    }

    /// What attention gathered, `[rows, q]`, and the stream with its projection added, `[rows, hidden]`.
    fn attention_output(&self, weights: &Weights<'_>, by_head: &[f32], x: &[f32], rows: usize) -> (Vec<f32>, Vec<f32>) {
        let (hidden, q, dim) = (self.sizes.hidden, self.sizes.q(), self.sizes.heads.dim);
        let (mut attended, mut middle) = (self.buffers.take(rows * q), self.buffers.take(x.len()));
        let size = row_block(rows);
        let blocks = attended.par_chunks_mut(size * q).zip(middle.par_chunks_mut(size * hidden));
        let blocks = blocks.zip(x.par_chunks(size * hidden)).enumerate();
        blocks.with_max_len(1).for_each(|(block, ((attended, middle), x))| {
            for (row, attended) in attended.chunks_exact_mut(q).enumerate() {
                for (head, attended) in attended.chunks_exact_mut(dim).enumerate() {
                    let from = (head * rows + block * size + row) * dim;
                    attended.copy_from_slice(&by_head[from..from + dim]);
                }
            }
            middle.copy_from_slice(x);
            weights.output().forward(attended, middle, hidden, Store::Add);
        });
        (attended, middle)
    }

    /// Gate and up, `[rows, intermediate]` each; and the stream behind the layer, where that is wanted.
    fn mlp(&self, weights: &Weights<'_>, middle: &[f32], rows: usize, out: Option<&mut [f32]>) -> [Vec<f32>; 2] {
        let Sizes { hidden, intermediate, eps, .. } = self.sizes;
        let size = row_block(rows);
        let (mut gate, mut up) = (self.buffers.take(rows * intermediate), self.buffers.take(rows * intermediate));
        let count = rows.div_ceil(size);
        let outs: Vec<Option<&mut [f32]>> = match out {
            Some(out) => out.chunks_mut(size * hidden).map(Some).collect(),
            None => (0..count).map(|_| None).collect(),
        };
        let blocks = gate.par_chunks_mut(size * intermediate).zip(up.par_chunks_mut(size * intermediate));
        let blocks = blocks.zip(middle.par_chunks(size * hidden)).zip(outs);
        blocks.with_max_len(1).for_each(|(((gate, up), middle), out)| {
            let mut normed = self.buffers.take(middle.len());
            let weight = weights.of(Role::PostAttentionNorm);
            run(RmsNorm { x: middle, weight, eps, out: &mut normed });
            weights.gate().forward(&normed, gate, intermediate, Store::Set);
            weights.up().forward(&normed, up, intermediate, Store::Set);
            if let Some(out) = out {
                let mut inner = self.buffers.take(gate.len());
                run(Gate { gate, up, inner: &mut inner });
                out.copy_from_slice(middle);
                weights.down().forward(&inner, out, hidden, Store::Add);
                self.buffers.give([inner]);
            }
            self.buffers.give([normed]);
        });
        [gate, up]
    }
}
