//! A decoder layer in burn's operations, in such a form that autodiff can go back through each.
//!
//! Products are computed in their type, f32 or bf16; norms, rotation, softmax, gate and the residual stream in f32.

use burn::tensor::{DType, Tensor, activation};
use layer_ir::{ModelConfig, Role};

use super::batch::{DeviceBatch, SequenceGroup};
use super::tensors::rms_norm;
use super::weights::Reader;

/// What a score becomes that a query does not see.
const HIDDEN: f32 = -1e30;

/// A layer, to be computed once.
pub(super) struct Layer<'a, 'b> {
    pub config: &'a ModelConfig,
    pub layer: usize,
    pub batch: &'a DeviceBatch,
    pub reader: Reader<'b>,
}

impl Layer<'_, '_> {
    /// The stream behind the layer from that before it, `[rows, hidden]` both.
    pub fn forward(mut self, x: Tensor<2>) -> Tensor<2> {
        let normed = self.norm(x.clone(), Role::InputNorm);
        let [q, k, v] = self.heads(normed);
        let attended = self.attend(q, k, v);
        let x = x + self.project(attended, Role::OProj, Role::OBias);
        let normed = self.norm(x.clone(), Role::PostAttentionNorm);
        let gate = self.project(normed.clone(), Role::GateProj, Role::GateBias);
        let up = self.project(normed, Role::UpProj, Role::UpBias);
        x + self.project(activation::silu(gate) * up, Role::DownProj, Role::DownBias)
    }

    /// The rows, normed by a weight; as they are where the layer has no such.
    fn norm(&mut self, x: Tensor<2>, role: Role) -> Tensor<2> {
        match self.reader.weights.of_layer(self.layer, role) {
            Some(weight) => rms_norm(x, self.reader.vector(weight), self.config.rms_norm_eps),
            None => x,
        }
    }

    /// A projection; as the rows are where the layer has no such weight.
    fn project(&mut self, x: Tensor<2>, weight: Role, bias: Role) -> Tensor<2> {
        let of_layer = |role| self.reader.weights.of_layer(self.layer, role);
        match (of_layer(weight), of_layer(bias)) {
            (Some(weight), bias) => self.reader.project(x, weight, bias),
            (None, _) => x,
        }
    }

    /// Queries and keys after their heads' norms and the rotation, and values; `[rows, heads * dim]` each.
    fn heads(&mut self, x: Tensor<2>) -> [Tensor<2>; 3] {
        let (queries, kv) = (self.config.num_heads, self.config.num_kv_heads);
        let q = self.project(x.clone(), Role::QProj, Role::QBias);
        let k = self.project(x.clone(), Role::KProj, Role::KBias);
        let v = self.project(x, Role::VProj, Role::VBias);
        [self.rotated(q, queries, Role::QNorm), self.rotated(k, kv, Role::KNorm), v]
    }

    /// Each head normed, where the model does so, and turned by its position: `(a, b) -> (a cos - b sin, b cos + a
    /// sin)` for the halves a, b of a head, as Hugging Face has it.
    fn rotated(&mut self, x: Tensor<2>, heads: usize, norm: Role) -> Tensor<2> {
        let ([rows, width], half) = (x.dims(), self.config.head_dim / 2);
        let x = self.norm(x.reshape([rows * heads, 2 * half]), norm).reshape([rows, heads, 2 * half]);
        let (a, b) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let [cos, sin] = &self.batch.rotations;
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos.clone() + a * sin.clone();
        Tensor::cat(vec![first, second], 2).reshape([rows, width])
    }

    /// `softmax(q k^T / sqrt(dim)) v` within each sequence, `[rows, queries * dim]`.
    fn attend(&self, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>) -> Tensor<2> {
        let (queries, kv) = (self.config.num_heads, self.config.num_kv_heads);
        let of_group = |group: &SequenceGroup| {
            let q = self.cut(&q, group, queries);
            let [k, v] = [&k, &v].map(|x| widened(self.cut(x, group, kv), queries / kv));
            self.attend_in(group, q, k, v)
        };
        let outputs = self.batch.groups.iter().map(of_group).collect();
        Tensor::cat(outputs, 0).select(0, self.batch.back.clone())
    }

    /// The heads of a group's sequences in the type of products, `[count, heads, length, dim]`.
    fn cut(&self, x: &Tensor<2>, group: &SequenceGroup, heads: usize) -> Tensor<4> {
        let x = x.clone().select(0, group.rows.clone());
        x.reshape([group.count, group.length, heads, self.config.head_dim])
            .swap_dims(1, 2)
            .cast(self.reader.weights.dtype)
    }

    /// What a group's heads gather, `[count * length, queries * dim]`.
    fn attend_in(&self, group: &SequenceGroup, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<2> {
        let [count, heads, length, dim] = q.dims();
        let scale = 1.0 / (dim as f64).sqrt();
        let mut scores = q.matmul(k.transpose()).cast(DType::F32) * scale; // [count, heads, query, key]
        if let Some(hidden) = group.hidden(self.config.windows[self.layer]) {
            let hidden = hidden.expand([count, heads, length, length]);
            scores = scores.mask_fill(hidden, HIDDEN);
        }
        let gathered = activation::softmax(scores, 3).cast(self.reader.weights.dtype).matmul(v).cast(DType::F32);
        gathered.swap_dims(1, 2).reshape([count * length, heads * dim])
    }
}

/// Each key or value head as often as queries share it: written out, as burn's products on GPUs take equal numbers of
/// heads.
fn widened(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [count, kv, length, dim] = x.dims();
    x.unsqueeze_dim::<5>(2).repeat_dim(2, times).reshape([count, kv * times, length, dim])
}
