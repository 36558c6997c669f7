//! The gradient of a layer, in three steps: MLP and output by blocks of rows; attention; projections by blocks of rows.
//! After the first and the last one the gradients of the weights, by blocks of outputs.

use layer_ir::Role;
use rayon::prelude::*;

use super::attention::{Attention, AttentionGradients};
use super::forward::Activations;
use super::gate::GateBack;
use super::norm::NormaliseBack;
use super::rotate::PutHead;
use super::weight::Projection;
use super::{CpuLayers, Sizes, Weights};
use crate::PackedBatch;
use crate::blocks::row_block;
use crate::layer::LayerWeights;
use tailor_simd::{RmsNorm, Store, run};

/// The gradients of all of a layer's weights.
struct WeightGradients<'a> {
    values: &'a mut [f32],
    layers: &'a CpuLayers,
}

impl WeightGradients<'_> {
    /// Adds the gradients of a projection and its bias, from rows of `d_y` that begin `stride` numbers apart.
    fn add(&mut self, [weight, bias]: [Role; 2], of: Projection<'_>, d_y: &[f32], stride: usize, x: &[f32]) {
        of.gradient(d_y, stride, x, &mut self.values[self.layers.layout.of(weight)]);
        if let Some(range) = self.layers.layout.get(bias) {
            for row in d_y.chunks(stride) {
                self.values[range.clone()].iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
            }
        }
    }

    /// Adds the gradients that blocks of rows gave a norm, in the blocks' order.
    fn add_norm(&mut self, role: Role, of_blocks: &[Vec<f32>]) {
        let range = self.layers.layout.of(role);
        for part in of_blocks {
            self.values[range.clone()].iter_mut().zip(part).for_each(|(sum, d)| *sum += d);
        }
    }
}

/// The gradients that a step of the MLP hands on.
struct MlpGradients {
    /// Of the stream between attention and MLP, `[rows, hidden]`.
    d_middle: Vec<f32>,
    /// Of what attention gathers, `[rows, q]`.
    d_attended: Vec<f32>,
}

impl CpuLayers {
    /// The gradient of the stream before the layer; those of the weights are added where they are wanted.
    pub(super) fn gradients(
        &self,
        weights: LayerWeights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        inner: Activations,
        d_out: Vec<f32>,
        d_weights: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let window = weights.window;
        let weights = self.weights(weights);
        let mut d_weights = d_weights.map(|values| WeightGradients { values, layers: self });
        let Activations { q, k, v, qkv, attended, middle, gate, up } = inner;
        let MlpGradients { d_middle, d_attended } =
            self.mlp_back(&weights, &middle, [gate, up], &attended, d_out, d_weights.as_mut());
        let [mut d_q, mut d_k, mut d_v] = [q.len(), k.len(), v.len()].map(|length| self.buffers.take(length));
        let (heads, rows, sequences) = (self.sizes.heads, batch.rows(), batch.sequences());
        let attention = Attention { q: &q, k: &k, v: &v, heads, rows, sequences, window };
        let into = AttentionGradients { d_q: &mut d_q, d_k: &mut d_k, d_v: &mut d_v };
        attention.backward(&d_attended, into, &self.buffers);
        self.buffers.give([q, k, v, attended, middle, d_attended]);
        let d_x = self.projections_back(&weights, batch, x, &qkv, [&d_q, &d_k, &d_v], d_middle, d_weights.as_mut());
        self.buffers.give([d_q, d_k, d_v, qkv]);
        d_x
    }

    /// Back through the MLP, its norm and the projection of the attention's output.
    fn mlp_back(
        &self,
        weights: &Weights<'_>,
        middle: &[f32],
        [mut gate, mut up]: [Vec<f32>; 2],
        attended: &[f32],
        d_out: Vec<f32>,
        d_weights: Option<&mut WeightGradients<'_>>,
    ) -> MlpGradients {
        let Sizes { hidden, intermediate, eps, .. } = self.sizes;
        let q = self.sizes.q();
        let rows = middle.len() / hidden;
        let size = row_block(rows);
        let (mut inner, mut normed) = (self.buffers.take(gate.len()), self.buffers.take(middle.len()));
        let (mut d_middle, mut d_attended) = (self.buffers.take(middle.len()), self.buffers.take(rows * q));
        let weight = weights.of(Role::PostAttentionNorm);
        let wide = gate.par_chunks_mut(size * intermediate).zip(up.par_chunks_mut(size * intermediate));
        let wide = wide.zip(inner.par_chunks_mut(size * intermediate));
        let narrow = normed.par_chunks_mut(size * hidden).zip(d_middle.par_chunks_mut(size * hidden));
        let narrow = narrow.zip(d_attended.par_chunks_mut(size * q));
        let given = middle.par_chunks(size * hidden).zip(d_out.par_chunks(size * hidden));
        let blocks = wide.zip(narrow).zip(given).with_max_len(1);
        let of_norm: Vec<Vec<f32>> = blocks
            .map(|((((gate, up), inner), ((normed, d_middle), d_attended)), (middle, d_out))| {
                weights.down().backward(d_out, hidden, inner, Store::Set);
                run(GateBack { gate, up, inner });
                let mut d_normed = self.buffers.take(normed.len());
                weights.gate().backward(gate, intermediate, &mut d_normed, Store::Set);
                weights.up().backward(up, intermediate, &mut d_normed, Store::Add);
                d_middle.copy_from_slice(d_out);
                let mut d_weight = vec![0.0; hidden];
                run(RmsNorm { x: middle, weight, eps, out: normed });
                run(NormaliseBack { x: middle, weight, eps, d_out: &d_normed, d_x: d_middle, d_weight: &mut d_weight });
                weights.output().backward(d_middle, hidden, d_attended, Store::Set);
                self.buffers.give([d_normed]);
                d_weight
            })
            .collect();
        if let Some(d_weights) = d_weights {
            d_weights.add([Role::DownProj, Role::DownBias], weights.down(), &d_out, hidden, &inner);
            d_weights.add([Role::GateProj, Role::GateBias], weights.gate(), &gate, intermediate, &normed);
            d_weights.add([Role::UpProj, Role::UpBias], weights.up(), &up, intermediate, &normed);
            d_weights.add_norm(Role::PostAttentionNorm, &of_norm);
            d_weights.add([Role::OProj, Role::OBias], weights.output(), &d_middle, hidden, attended);
        }
        self.buffers.give([gate, up, inner, normed, d_out]);
        MlpGradients { d_middle, d_attended }
    }

    /// Back through rotation, norms of heads, projections and the first norm: the gradient of the stream before the
    /// layer.
    #[expect(clippy::too_many_arguments, reason = "the last step needs what all before it gave")]
    fn projections_back(
        &self,
        weights: &Weights<'_>,
        batch: &PackedBatch,
        x: &[f32],
        qkv: &[f32],
        d_heads: [&[f32]; 3],
        mut d_x: Vec<f32>,
        d_weights: Option<&mut WeightGradients<'_>>,
    ) -> Vec<f32> {
        let Sizes { hidden, eps, .. } = self.sizes;
        let (width, rows) = (self.sizes.qkv(), batch.rows());
        let size = row_block(rows);
        let (mut d_qkv, mut normed) = (self.buffers.take(rows * width), self.buffers.take(x.len()));
        let weight = weights.of(Role::InputNorm);
        let blocks = d_qkv.par_chunks_mut(size * width).zip(normed.par_chunks_mut(size * hidden));
        let blocks = blocks.zip(d_x.par_chunks_mut(size * hidden)).zip(x.par_chunks(size * hidden)).enumerate();
        let of_norms: Vec<[Vec<f32>; 3]> = blocks
            .with_max_len(1)
            .map(|(block, (((d_qkv, normed), d_x), x))| {
                let of_heads = self.put_heads(weights, batch, block * size, qkv, d_heads, d_qkv);
                let mut d_normed = self.buffers.take(normed.len());
                let (mut first, mut store) = (0, Store::Set);
                for projection in weights.qkv() {
                    projection.backward(&d_qkv[first..], width, &mut d_normed, store);
                    (first, store) = (first + projection.outputs, Store::Add);
                }
                let mut d_weight = vec![0.0; hidden];
                run(RmsNorm { x, weight, eps, out: normed });
                run(NormaliseBack { x, weight, eps, d_out: &d_normed, d_x, d_weight: &mut d_weight });
                self.buffers.give([d_normed]);
                let [of_queries, of_keys] = of_heads;
                [d_weight, of_queries, of_keys]
            })
            .collect();
        if let Some(d_weights) = d_weights {
            let roles = [[Role::QProj, Role::QBias], [Role::KProj, Role::KBias], [Role::VProj, Role::VBias]];
            let mut first = 0;
            for (roles, projection) in roles.into_iter().zip(weights.qkv()) {
                d_weights.add(roles, projection, &d_qkv[first..], width, &normed);
                first += projection.outputs;
            }
            for (place, role) in [Role::InputNorm, Role::QNorm, Role::KNorm].into_iter().enumerate() {
                let parts: Vec<Vec<f32>> = of_norms.iter().map(|parts| parts[place].clone()).collect();
                d_weights.add_norm(role, &parts);
            }
        }
        self.buffers.give([d_qkv, normed]);
        d_x
    }

    /// The gradients of a block's queries, keys and values before norms and rotation, row-major, from those by heads;
    /// and what the norms of heads get.
    fn put_heads(
        &self,
        weights: &Weights<'_>,
        batch: &PackedBatch,
        first_row: usize,
        qkv: &[f32],
        [d_q, d_k, d_v]: [&[f32]; 3],
        d_qkv: &mut [f32],
    ) -> [Vec<f32>; 2] {
        let (q, kv, width) = (self.sizes.q(), self.sizes.kv(), self.sizes.qkv());
        let (dim, rows) = (self.sizes.heads.dim, batch.rows());
        let mut scratch = vec![0.0; dim];
        let parts = [(0, q, Role::QNorm, d_q), (q, kv, Role::KNorm, d_k)];
        let of_norms = parts.map(|(start, numbers, role, d_heads)| {
            let norm = weights.head_norm(role);
            let mut d_weight = vec![0.0; norm.map_or(0, |_| dim)];
            for (row, d_row) in d_qkv.chunks_exact_mut(width).enumerate() {
                let row = first_row + row;
                let turn = row * dim / 2..(row + 1) * dim / 2;
                let turn = (&batch.cos[turn.clone()], &batch.sin[turn]);
                for (head, d_from) in d_row[start..start + numbers].chunks_exact_mut(dim).enumerate() {
                    let from = (head * rows + row) * dim;
                    let taken = row * width + start + head * dim;
                    let norm = norm.map(|norm| (&qkv[taken..taken + dim], norm));
                    let d_head = &d_heads[from..from + dim];
                    run(PutHead { d_head, norm, turn, d_from, d_weight: &mut d_weight, scratch: &mut scratch });
                }
            }
            d_weight
        });
        for (row, d_row) in d_qkv.chunks_exact_mut(width).enumerate() {
            for (head, d_from) in d_row[q + kv..].chunks_exact_mut(dim).enumerate() {
                let from = (head * rows + first_row + row) * dim;
                d_from.copy_from_slice(&d_v[from..from + dim]);
            }
        }
        of_norms
    }
}
