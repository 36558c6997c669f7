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
/// Added to the scores of keys that a query must not see: nothing after `exp`, which is slow where it underflows.
pub const HIDDEN: f32 = -60.0;

/// One decoder layer; matrices are `[in, out]`.
#[derive(Module, Debug)]
pub struct Layer {
    pub attention_norm: Param<Tensor<1>>,
    pub q: Param<Tensor<2>>,
    pub k: Param<Tensor<2>>,
    pub v: Param<Tensor<2>>,
    pub output: Param<Tensor<2>>,
    pub mlp_norm: Param<Tensor<1>>,
    pub gate: Param<Tensor<2>>,
    pub up: Param<Tensor<2>>,
    pub down: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
pub struct Net {
    pub embedding: Param<Tensor<2>>,
    pub layers: Vec<Layer>,
    pub norm: Param<Tensor<1>>,
    pub head: Param<Tensor<2>>,
}

/// Rotary tables for sequences of one length.
#[derive(Clone)]
pub struct Positions {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// `[head_dim, head_dim]`: turns the halves `[a, b]` of a head into `[-b, a]`.
    turn: Tensor<4>,
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
        let turn: Vec<f32> = (0..head_dim * head_dim)
            .map(|at| match (at / head_dim, at % head_dim) {
                (row, column) if row == column + half => -1.0,
                (row, column) if row + half == column => 1.0,
                _ => 0.0,
            })
            .collect();
        let turn = Tensor::from_data(TensorData::new(turn, [1, 1, head_dim, head_dim]), device);
        Self { cos: table(f64::cos), sin: table(f64::sin), turn }
    }

    /// The causal mask, `[1, 1, length, length]`.
    pub fn causal(length: usize, device: &Device) -> Tensor<4> {
        let mask: Vec<f32> =
            (0..length).flat_map(|i| (0..length).map(move |j| if j > i { HIDDEN } else { 0.0 })).collect();
        Tensor::from_data(TensorData::new(mask, [1, 1, length, length]), device)
    }

    /// Rotary embedding of halves, as Hugging Face's Llama.
    fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        x.clone() * self.cos.clone() + x.matmul(self.turn.clone()) * self.sin.clone()
    }
}

impl Net {
    /// Normal weights of standard deviation `1 / sqrt(width)`. Those that write to the residual stream are no smaller,
    /// as they often are, so that no layer begins as next to nothing.
    pub fn new(sizes: Sizes, random: &mut impl Rng, device: &Device) -> Self {
        let Sizes { layers, width, hidden, vocabulary, .. } = sizes;
        let deviation = 1.0 / (width as f32).sqrt();
        let mut matrix = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns)
                .map(|_| {
                    let normal: f32 = StandardNormal.sample(random);
                    normal * deviation
                })
                .collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [rows, columns]), device))
        };
        let ones = |n: usize| Param::from_tensor(Tensor::<1>::ones([n], device));
        Self {
            embedding: matrix(vocabulary, width),
            layers: (0..layers)
                .map(|_| Layer {
                    attention_norm: ones(width),
                    q: matrix(width, width),
                    k: matrix(width, width),
                    v: matrix(width, width),
                    output: matrix(width, width),
                    mlp_norm: ones(width),
                    gate: matrix(width, hidden),
                    up: matrix(width, hidden),
                    down: matrix(hidden, width),
                })
                .collect(),
            norm: ones(width),
            head: matrix(width, vocabulary),
        }
    }

    /// Log-probabilities `[batch * length, vocabulary]` of the next token; layers marked in `dropped` are skipped.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        positions: &Positions,
        mask: Tensor<4>,
        heads: usize,
        dropped: &[bool],
    ) -> Tensor<2> {
        let [batch, length] = ids.dims();
        let mut x = self.embedding.val().select(0, ids.reshape([batch * length]));
        for (layer, _) in self.layers.iter().zip(dropped).filter(|(_, dropped)| !**dropped) {
            x = layer.forward(x, [batch, length, heads], positions, mask.clone());
        }
        log_softmax(rms_norm(x, self.norm.val()).matmul(self.head.val()), 1)
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        [batch, length, heads]: [usize; 3],
        positions: &Positions,
        mask: Tensor<4>,
    ) -> Tensor<2> {
        let width = x.dims()[1];
        let head_dim = width / heads;
        let normed = rms_norm(x.clone(), self.attention_norm.val());
        let project = |matrix: &Param<Tensor<2>>| {
            normed.clone().matmul(matrix.val()).reshape([batch, length, heads, head_dim]).swap_dims(1, 2)
        };
        let q = positions.rotate(project(&self.q)) / (head_dim as f64).sqrt();
        let k = positions.rotate(project(&self.k));
        let scores = q.matmul(k.swap_dims(2, 3)) + mask; // [batch, heads, length, length]
        let mixed = softmax(scores, 3).matmul(project(&self.v)).swap_dims(1, 2).reshape([batch * length, width]);
        let x = x + mixed.matmul(self.output.val());

        let normed = rms_norm(x.clone(), self.mlp_norm.val());
        let gate = silu(normed.clone().matmul(self.gate.val()));
        x + (gate * normed.matmul(self.up.val())).matmul(self.down.val())
    }
}

fn rms_norm(x: Tensor<2>, weight: Tensor<1>) -> Tensor<2> {
    let scale = (x.clone() * x.clone()).mean_dim(1).add_scalar(NORM_EPSILON).sqrt();
    x / scale * weight.unsqueeze()
}
