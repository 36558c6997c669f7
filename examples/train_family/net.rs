//! A Llama on burn for training: plain operations, so that autodiff sees all of them.

use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The sizes of the family's models.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub hidden: usize,
    pub vocabulary: usize,
}

pub const ROPE_THETA: f64 = 10_000.0;
pub const NORM_EPSILON: f64 = 1e-5;

/// One decoder layer; weights are `[in, out]`, q, k, v and gate, up joined along `out`.
#[derive(Module, Debug)]
pub struct Layer {
    pub attention_norm: Param<Tensor<1>>,
    pub qkv: Param<Tensor<2>>,
    pub output: Param<Tensor<2>>,
    pub mlp_norm: Param<Tensor<1>>,
    pub gate_up: Param<Tensor<2>>,
    pub down: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
pub struct Net {
    pub embedding: Param<Tensor<2>>,
    pub layers: Vec<Layer>,
    pub norm: Param<Tensor<1>>,
    pub head: Param<Tensor<2>>,
}

/// Rotary tables and the causal mask for sequences of one length.
pub struct Positions {
    cos: Tensor<4>,
    sin: Tensor<4>,
    hidden: Tensor<4>,
}

impl Positions {
    pub fn new(length: usize, head_dim: usize, device: &Device) -> Self {
        let half = head_dim / 2;
        let angle = |t: usize, i: usize| t as f64 * ROPE_THETA.powf(-((i % half) as f64) / half as f64);
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> =
                (0..length).flat_map(|t| (0..head_dim).map(move |i| f(angle(t, i)) as f32)).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, length, head_dim]), device)
        };
        let mask: Vec<f32> =
            (0..length).flat_map(|i| (0..length).map(move |j| if j > i { -1e9 } else { 0.0 })).collect();
        let hidden = Tensor::from_data(TensorData::new(mask, [1, 1, length, length]), device);
        Self { cos: table(f64::cos), sin: table(f64::sin), hidden }
    }
}

impl Net {
    /// Normal weights of standard deviation 0.02, those that write to the residual stream smaller by sqrt(2 layers).
    pub fn new(sizes: Sizes, random: &mut impl Rng, device: &Device) -> Self {
        let mut matrix = |rows: usize, columns: usize, deviation: f32| {
            let values: Vec<f32> = (0..rows * columns)
                .map(|_| {
                    let normal: f32 = StandardNormal.sample(random);
                    normal * deviation
                })
                .collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [rows, columns]), device))
        };
        let ones = |n: usize| Param::from_tensor(Tensor::<1>::ones([n], device));
        let Sizes { layers, width, hidden, vocabulary, .. } = sizes;
        let (normal, written) = (0.05, 0.05 / (2.0 * layers as f32).sqrt());
        Self {
            embedding: matrix(vocabulary, width, normal),
            layers: (0..layers)
                .map(|_| Layer {
                    attention_norm: ones(width),
                    qkv: matrix(width, 3 * width, normal),
                    output: matrix(width, width, written),
                    mlp_norm: ones(width),
                    gate_up: matrix(width, 2 * hidden, normal),
                    down: matrix(hidden, width, written),
                })
                .collect(),
            norm: ones(width),
            head: matrix(width, vocabulary, normal),
        }
    }

    /// Log-probabilities `[batch * length, vocabulary]` of the next token; layers marked in `dropped` are skipped (LayerDrop).
    pub fn forward(&self, ids: Tensor<2, Int>, positions: &Positions, heads: usize, dropped: &[bool]) -> Tensor<2> {
        let [batch, length] = ids.dims();
        let mut x = self.embedding.val().select(0, ids.reshape([batch * length]));
        for (layer, _) in self.layers.iter().zip(dropped).filter(|(_, dropped)| !**dropped) {
            x = layer.forward(x, [batch, length, heads], positions);
        }
        log_softmax(rms_norm(x, self.norm.val()).matmul(self.head.val()), 1)
    }
}

impl Layer {
    fn forward(&self, x: Tensor<2>, [batch, length, heads]: [usize; 3], positions: &Positions) -> Tensor<2> {
        let width = x.dims()[1];
        let head_dim = width / heads;
        let qkv = rms_norm(x.clone(), self.attention_norm.val()).matmul(self.qkv.val());
        let split = |part: usize| {
            let part = qkv.clone().slice([0..batch * length, part * width..(part + 1) * width]);
            part.reshape([batch, length, heads, head_dim]).swap_dims(1, 2)
        };
        let (q, k, v) = (rotate(split(0), positions), rotate(split(1), positions), split(2));
        let scores = q.matmul(k.swap_dims(2, 3)) / (head_dim as f64).sqrt() + positions.hidden.clone();
        let mixed = softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([batch * length, width]);
        let x = x + mixed.matmul(self.output.val());

        let hidden = self.down.dims()[0];
        let gate_up = rms_norm(x.clone(), self.mlp_norm.val()).matmul(self.gate_up.val());
        let rows = batch * length;
        let gate = gate_up.clone().slice([0..rows, 0..hidden]);
        let up = gate_up.slice([0..rows, hidden..2 * hidden]);
        x + (silu(gate) * up).matmul(self.down.val())
    }
}

fn rms_norm(x: Tensor<2>, weight: Tensor<1>) -> Tensor<2> {
    let scale = (x.clone() * x.clone()).mean_dim(1).add_scalar(NORM_EPSILON).sqrt();
    x / scale * weight.unsqueeze()
}

/// Rotary embedding of halves, as Hugging Face's Llama.
fn rotate(x: Tensor<4>, positions: &Positions) -> Tensor<4> {
    let [batch, heads, length, head_dim] = x.dims();
    let half = head_dim / 2;
    let first = x.clone().slice([0..batch, 0..heads, 0..length, 0..half]);
    let second = x.clone().slice([0..batch, 0..heads, 0..length, half..head_dim]);
    x * positions.cos.clone() + Tensor::cat(vec![-second, first], 3) * positions.sin.clone()
}
