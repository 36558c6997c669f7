//! A decoder layer in burn's operations.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Int, Tensor, activation, module};

use super::cache::{BurnCache, KeyValues};
use super::rectangles::Rectangles;
use super::tensors::{bytes, indices, rms_norm};
use crate::Error;
use crate::engine::{DecoderLayer, LayerPass, WithInner};
use crate::weights::{Heads, LayerTensors, Projection, Sizes};

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct BurnLayout {
    /// The batch's spans, for the attention.
    pub(super) rectangles: Rectangles,
    /// Cosines and sines, `[rows, 1, dim / 2]` each.
    pub(super) rotations: [Tensor<3>; 2],
}

/// A product's weight, seen as `[inputs, outputs]`, and its bias `[1, outputs]`.
#[derive(Debug)]
struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<2>>,
}

impl Linear {
    /// Several products of one input, joined to one.
    fn joined(projections: Vec<Projection>, dtype: DType) -> Self {
        let outputs: usize = projections.iter().map(|projection| projection.outputs).sum();
        let inputs = projections.first().map_or(0, |projection| projection.inputs);
        let any_bias = projections.iter().any(|projection| projection.bias.is_some());
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for Projection { weight, bias, outputs, .. } in projections {
            let bias = bias.map(|bias| bias.cast(DType::F32));
            biases.push(bias.unwrap_or_else(|| Tensor::zeros([outputs], (&weight.device(), DType::F32))));
            weights.push(weight.cast(dtype));
        }
        // A checkpoint's [outputs, inputs], seen transposed: the products take any strides.
        let weight = concatenated(weights).reshape([outputs, inputs]).transpose();
        Self { weight, bias: any_bias.then(|| concatenated(biases).unsqueeze()) }
    }

    /// `x W + b` in f32, from `[rows, inputs]` to `[rows, outputs]`.
    fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.cast(self.weight.dtype()).matmul(self.weight.clone()).cast(DType::F32);
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }

    /// Bytes of weight and bias.
    fn bytes(&self) -> usize {
        bytes(&self.weight) + self.bias.as_ref().map_or(0, bytes)
    }
}

/// The parts, one after the other; a single one is not copied.
fn concatenated(mut parts: Vec<Tensor<1>>) -> Tensor<1> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

/// A layer's weights as tensors.
#[derive(Debug)]
pub(crate) struct BurnLayer {
    sizes: Sizes,
    /// `[hidden]`
    input_norm: Tensor<1>,
    /// From `[hidden]` to `[(queries + 2 kv) * dim]`.
    qkv: Linear,
    /// The norms over each head's query and key, `[dim]` each.
    head_norms: Option<(Tensor<1>, Tensor<1>)>,
    /// From `[queries * dim]` to `[hidden]`.
    output: Linear,
    /// `[hidden]`
    post_attention_norm: Tensor<1>,
    /// From `[hidden]` to `[2 * intermediate]`, the gate first.
    gate_up: Linear,
    /// From `[intermediate]` to `[hidden]`.
    down: Linear,
}

impl BurnLayer {
    /// Lays the tensors out, the weights of products in `dtype`.
    pub fn new(sizes: Sizes, tensors: LayerTensors, dtype: DType) -> Self {
        let linear = |projections| Linear::joined(projections, dtype);
        Self {
            sizes,
            input_norm: tensors.input_norm.cast(DType::F32),
            qkv: linear(tensors.qkv),
            head_norms: tensors.head_norms.map(|(query, key)| (query.cast(DType::F32), key.cast(DType::F32))),
            output: linear(vec![tensors.output]),
            post_attention_norm: tensors.post_attention_norm.cast(DType::F32),
            gate_up: linear(tensors.gate_up),
            down: linear(vec![tensors.down]),
        }
    }
}

impl DecoderLayer for BurnLayer {
    type Layout = BurnLayout;
    type Cache = BurnCache;

    fn bytes(&self) -> usize {
        let linears = [&self.qkv, &self.output, &self.gate_up, &self.down].map(Linear::bytes);
        linears.iter().sum::<usize>() + bytes(&self.input_norm) + bytes(&self.post_attention_norm)
    }

    /// Keys and values are computed of all rows; after the attention, the rows that are not wanted are dropped.
    fn forward(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, BurnLayout>,
        cache: Option<&mut BurnCache>,
    ) -> Result<Tensor<2>, Error> {
        let (x, attended) = self.attended(x, pass, cache);
        let x = x + self.output.apply(attended);
        let inner = self.inner(&x);
        Ok(self.down(x, inner, pass))
    }

    fn forward_with_inner(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, BurnLayout>,
        attention: bool,
    ) -> Result<WithInner, Error> {
        let pass = LayerPass { wanted: None, ..pass };
        let (x, attended) = self.attended(x, pass, None);
        let shown = attention.then(|| attended.clone().cast(DType::F32));
        let x = x + self.output.apply(attended);
        let attention = shown.map(|attended| [attended, x.clone()]);
        let inner = self.inner(&x);
        Ok(WithInner { stream: self.down(x, inner.clone(), pass), inner, attention })
    }
}

impl BurnLayer {
    /// The residual stream of the wanted rows before the attention, `[wanted rows, hidden]`, and what its heads have
    /// read, `[wanted rows, queries * dim]`.
    fn attended(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, BurnLayout>,
        cache: Option<&mut BurnCache>,
    ) -> (Tensor<2>, Tensor<2>) {
        let normed = rms_norm(x.clone(), &self.input_norm, f64::from(self.sizes.eps));
        let (queries, new) = self.rotate(self.qkv.apply(normed), &pass.layout.rotations);
        let attended = match cache {
            None => self.attend(&queries, &new, pass),
            Some(cache) => {
                let seen = cache.append(new);
                let attended = self.attend(&queries, &seen, pass);
                cache.keep(seen);
                attended
            }
        };
        match pass.wanted {
            None => (x, attended),
            Some(rows) => {
                let rows = indices(rows.iter().map(|row| *row as i32).collect(), &x.device());
                (x.select(0, rows.clone()), attended.select(0, rows))
            }
        }
    }

    /// `silu(gate) * up`, `[rows, intermediate]`, of the stream after the attention, `[rows, hidden]`.
    fn inner(&self, x: &Tensor<2>) -> Tensor<2> {
        let normed = rms_norm(x.clone(), &self.post_attention_norm, f64::from(self.sizes.eps));
        let gate_up = self.gate_up.apply(normed);
        let half = self.sizes.intermediate;
        activation::silu(gate_up.clone().narrow(1, 0, half)) * gate_up.narrow(1, half, half)
    }

    /// The residual stream after the layer from that after the attention, `[rows, hidden]`.
    fn down(&self, x: Tensor<2>, inner: Tensor<2>, pass: LayerPass<'_, BurnLayout>) -> Tensor<2> {
        let x = x + self.down.apply(inner);
        if pass.settings.scale == 1.0 { x } else { x * pass.settings.scale }
    }

    /// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the first two by their positions:
    /// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of each head, as Hugging Face does.
    fn rotate(&self, qkv: Tensor<2>, [cos, sin]: &[Tensor<3>; 2]) -> (Tensor<2>, KeyValues) {
        let Heads { queries, kv, dim } = self.sizes.heads;
        let eps = f64::from(self.sizes.eps);
        let dtype = self.qkv.weight.dtype();
        let part = |start: usize, count: usize| qkv.clone().narrow(1, start * dim, count * dim);
        let turned = |start: usize, count: usize, weight: Option<&Tensor<1>>| {
            let mut x = part(start, count);
            let [n, width] = x.dims();
            if let Some(weight) = weight {
                x = rms_norm(x.reshape([n * count, dim]), weight, eps);
            }
            let mut halves = x.reshape([n, count, dim]).chunk(2, 2);
            match (halves.pop(), halves.pop()) {
                (Some(b), Some(a)) => {
                    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
                    let second = b * cos.clone() + a * sin.clone();
                    Tensor::cat(vec![first, second], 2).reshape([n, width]).cast(dtype)
                }
                _ => Tensor::zeros([n, width], (&qkv.device(), dtype)),
            }
        };
        let norms = self.head_norms.as_ref();
        let q = turned(0, queries, norms.map(|(query, _)| query));
        let keys = turned(queries, kv, norms.map(|(_, key)| key));
        (q, KeyValues { keys, values: part(queries + kv, kv).cast(dtype) })
    }

    /// `softmax(q k^T / sqrt(dim)) v` for what each query sees, `[rows, queries * dim]`.
    fn attend(&self, queries: &Tensor<2>, seen: &KeyValues, pass: LayerPass<'_, BurnLayout>) -> Tensor<2> {
        let (device, heads, plan) = (queries.device(), self.sizes.heads, &pass.batch.attention);
        let rectangles = &pass.layout.rectangles;
        let masks = rectangles.masks(plan, pass.settings.window, &device);
        let mut outputs = Vec::with_capacity(rectangles.groups.len());
        for (group, mask) in rectangles.groups.iter().zip(masks.iter()) {
            let cut = |x: &Tensor<2>, rows: &Tensor<1, Int>, length: usize, count: usize| {
                let x = x.clone().select(0, rows.clone()).reshape([group.size(), length, count, heads.dim]);
                x.swap_dims(1, 2) // [batch, heads, length, dim]
            };
            // Written out, as grouped heads give wrong numbers on CubeCL's devices.
            let widen = |x: Tensor<4>| {
                let [b, kv, s, dim] = x.dims();
                let times = heads.queries / kv;
                if times == 1 {
                    return x;
                }
                x.unsqueeze_dim::<5>(2).repeat_dim(2, times).reshape([b, kv * times, s, dim])
            };
            let q = cut(queries, &group.query_rows, group.query_length, heads.queries);
            let k = widen(cut(&seen.keys, &group.key_rows, group.key_length, heads.kv));
            let v = widen(cut(&seen.values, &group.key_rows, group.key_length, heads.kv));
            let options = AttentionModuleOptions { is_causal: mask.is_none(), ..Default::default() };
            let out = module::attention(q, k, v, mask.clone(), None, options);
            let rows = group.size() * group.query_length;
            outputs.push(out.swap_dims(1, 2).reshape([rows, heads.queries * heads.dim]));
        }
        Tensor::cat(outputs, 0).select(0, rectangles.back.clone())
    }
}
