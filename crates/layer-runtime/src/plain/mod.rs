//! The engine of burn's own operations, for any device; a GPU's fusion makes kernels of them.

mod grid;

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation, module};

use crate::Error;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::engine::{Embedding, Ending, Engine, Heads, KeyValues, Layer, LayerPass, Target, TargetScore};
use crate::weights::{LayerTensors, Projection, Sizes};

pub(crate) use grid::Grid;

/// Elements of logits that are made at once.
const LOGITS_AT_ONCE: usize = 1 << 22;

/// Keeps weights as tensors of a type, in which the products and the attention are computed; all else is in f32.
#[derive(Debug)]
pub(crate) struct PlainEngine {
    pub dtype: DType,
}

impl Engine for PlainEngine {
    fn embedding(&self, tokens: Tensor<2>) -> Result<Box<dyn Embedding>, Error> {
        Ok(Box::new(PlainEmbedding(tokens.cast(self.dtype))))
    }

    fn layer(&self, sizes: Sizes, tensors: LayerTensors) -> Result<Box<dyn Layer>, Error> {
        let linear = |projections| Linear::joined(projections, self.dtype);
        Ok(Box::new(PlainLayer {
            sizes,
            input_norm: tensors.input_norm.cast(DType::F32),
            qkv: linear(tensors.qkv),
            head_norms: tensors.head_norms.map(|(query, key)| (query.cast(DType::F32), key.cast(DType::F32))),
            output: linear(vec![tensors.output]),
            post_attention_norm: tensors.post_attention_norm.cast(DType::F32),
            gate_up: linear(tensors.gate_up),
            down: linear(vec![tensors.down]),
        }))
    }

    fn ending(&self, sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Result<Box<dyn Ending>, Error> {
        let head = head.cast(self.dtype).transpose();
        Ok(Box::new(PlainEnding { norm, eps: f64::from(sizes.eps), head }))
    }
}

/// `[vocabulary, hidden]`
#[derive(Debug)]
struct PlainEmbedding(Tensor<2>);

impl Embedding for PlainEmbedding {
    fn bytes(&self) -> usize {
        bytes(&self.0)
    }

    fn embed(&self, tokens: &[u32]) -> Result<Tensor<2>, Error> {
        let rows = indices(tokens.iter().map(|token| *token as i32).collect(), &self.0.device());
        Ok(self.0.clone().select(0, rows).cast(DType::F32))
    }
}

/// A matrix product's weight, seen as `[in, out]`, and its bias.
#[derive(Debug)]
struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<2>>,
}

impl Linear {
    /// The products of one input as one.
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
        // A checkpoint's [out, in], seen transposed: the products take any strides.
        let weight = concatenated(weights).reshape([outputs, inputs]).transpose();
        Self { weight, bias: any_bias.then(|| concatenated(biases).unsqueeze()) }
    }

    /// `x W + b` in f32, `x` being `[n, in]`.
    fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.cast(self.weight.dtype()).matmul(self.weight.clone()).cast(DType::F32);
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }

    fn bytes(&self) -> usize {
        bytes(&self.weight) + self.bias.as_ref().map_or(0, bytes)
    }
}

/// One after the other; a single one is not copied.
fn concatenated(mut parts: Vec<Tensor<1>>) -> Tensor<1> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

fn bytes<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims().iter().product::<usize>() * tensor.dtype().size()
}

#[derive(Debug)]
struct PlainLayer {
    sizes: Sizes,
    input_norm: Tensor<1>,
    qkv: Linear,
    head_norms: Option<(Tensor<1>, Tensor<1>)>,
    output: Linear,
    post_attention_norm: Tensor<1>,
    gate_up: Linear,
    down: Linear,
}

impl Layer for PlainLayer {
    fn bytes(&self) -> usize {
        let linears = [&self.qkv, &self.output, &self.gate_up, &self.down].map(Linear::bytes);
        linears.iter().sum::<usize>() + bytes(&self.input_norm) + bytes(&self.post_attention_norm)
    }

    fn forward(&self, x: Tensor<2>, pass: LayerPass<'_>, cache: Option<&mut LayerCache>) -> Result<Tensor<2>, Error> {
        let eps = f64::from(self.sizes.eps);
        let normed = rms_norm(x.clone(), &self.input_norm, eps);
        let (queries, new) = self.rotate(self.qkv.apply(normed), pass.batch);
        let attended = match cache {
            None => self.attend(&queries, &new, pass),
            Some(cache) => {
                let seen = cache.append(new);
                let attended = self.attend(&queries, &seen, pass);
                cache.keep(seen);
                attended
            }
        };
        let (x, attended) = match pass.wanted {
            None => (x, attended),
            Some(rows) => {
                let rows = indices(rows.iter().map(|row| *row as i32).collect(), &x.device());
                (x.select(0, rows.clone()), attended.select(0, rows))
            }
        };
        let x = x + self.output.apply(attended);
        let normed = rms_norm(x.clone(), &self.post_attention_norm, eps);
        let gate_up = self.gate_up.apply(normed);
        let half = self.sizes.intermediate;
        let gated = activation::silu(gate_up.clone().narrow(1, 0, half)) * gate_up.narrow(1, half, half);
        let x = x + self.down.apply(gated);
        Ok(if pass.settings.scale == 1.0 { x } else { x * pass.settings.scale })
    }
}

impl PlainLayer {
    /// Cuts `[n, (queries + 2 kv) * dim]` into queries, keys and values, and turns the first two by their positions:
    /// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of each head, as Hugging Face does.
    fn rotate(&self, qkv: Tensor<2>, batch: &Batch) -> (Tensor<2>, KeyValues) {
        let Heads { queries, kv, dim } = self.sizes.heads;
        let eps = f64::from(self.sizes.eps);
        let dtype = self.qkv.weight.dtype();
        let [cos, sin] = batch.rotations(&qkv.device());
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

    /// softmax(q k^T / sqrt(dim)) v for what each query sees, `[queries, heads * dim]`.
    fn attend(&self, queries: &Tensor<2>, seen: &KeyValues, pass: LayerPass<'_>) -> Tensor<2> {
        let (device, heads, plan) = (queries.device(), self.sizes.heads, &pass.batch.attention);
        let grid = pass.batch.grid(&device);
        let masks = grid.masks(plan, pass.settings.window, &device);
        let mut outputs = Vec::with_capacity(grid.groups.len());
        for (group, mask) in grid.groups.iter().zip(masks.iter()) {
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
        Tensor::cat(outputs, 0).select(0, grid.back.clone())
    }
}

#[derive(Debug)]
struct PlainEnding {
    norm: Tensor<1>,
    eps: f64,
    /// `[hidden, vocabulary]`
    head: Tensor<2>,
}

impl PlainEnding {
    /// The logits of some rows, a few megabytes at a time, with the place of the first one.
    fn each_block(
        &self,
        x: &Tensor<2>,
        rows: &[u32],
        each: &mut dyn FnMut(usize, Tensor<2>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let block = (LOGITS_AT_ONCE / self.head.dims()[1].max(1)).max(1);
        for (index, rows) in rows.chunks(block).enumerate() {
            let rows = indices(rows.iter().map(|row| *row as i32).collect(), &x.device());
            let normed = rms_norm(x.clone().select(0, rows), &self.norm, self.eps);
            each(index * block, normed.cast(self.head.dtype()).matmul(self.head.clone()).cast(DType::F32))?;
        }
        Ok(())
    }

    fn all(x: &Tensor<2>) -> Vec<u32> {
        (0..x.dims()[0] as u32).collect()
    }
}

impl Ending for PlainEnding {
    fn bytes(&self) -> usize {
        bytes(&self.head) + bytes(&self.norm)
    }

    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        self.each_block(&x, &Self::all(&x), &mut |_, logits| {
            each(&logits.try_into_vec_as::<f32>()?);
            Ok(())
        })
    }

    fn score(&self, x: Tensor<2>, targets: &[Target], _threads: usize) -> Result<Vec<TargetScore>, Error> {
        let mut rows: Vec<u32> = targets.iter().map(|target| target.row).collect();
        rows.dedup();
        let (mut scores, mut rest) = (Vec::with_capacity(targets.len()), targets);
        self.each_block(&x, &rows, &mut |first, logits| {
            let rows = &rows[first..first + logits.dims()[0]];
            let count = rest.partition_point(|target| rows.last().is_some_and(|last| target.row <= *last));
            let (block, later) = rest.split_at(count);
            rest = later;
            scores.extend(score_rows(logits, rows, block)?);
            Ok(())
        })?;
        Ok(scores)
    }

    fn most_likely(&self, x: Tensor<2>, _threads: usize) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        self.each_block(&x, &Self::all(&x), &mut |_, logits| {
            tokens.extend(most_likely(logits)?);
            Ok(())
        })?;
        Ok(tokens)
    }
}

/// The scores of targets by the logits of their rows; both ascend.
fn score_rows(logits: Tensor<2>, rows: &[u32], targets: &[Target]) -> Result<Vec<TargetScore>, Error> {
    let vocabulary = logits.dims()[1];
    let place = |target: &Target| rows.partition_point(|row| *row < target.row);
    let places = targets.iter().map(|target| (place(target) * vocabulary) as i32 + target.token as i32).collect();
    let places = indices(places, &logits.device());
    let wanted = logits.clone().reshape([rows.len() * vocabulary]).select(0, places).try_into_data()?;
    let highest = logits.clone().max_dim(1);
    let sums = (logits.clone() - highest.clone()).exp().sum_dim(1).log() + highest;
    let normalisers = sums.try_into_data()?;
    let favourites = most_likely(logits)?;
    let (wanted, normalisers) = (wanted.as_slice::<f32>()?, normalisers.as_slice::<f32>()?);
    let score = |(target, logit): (&Target, &f32)| TargetScore {
        log_probability: logit - normalisers[place(target)],
        greedy: favourites[place(target)] == target.token,
    };
    Ok(targets.iter().zip(wanted).map(score).collect())
}

fn most_likely(logits: Tensor<2>) -> Result<Vec<u32>, Error> {
    let best = logits.argmax(1).try_into_vec_as::<i64>()?;
    Ok(best.into_iter().map(|token| token as u32).collect())
}

fn rms_norm(x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + eps).sqrt().recip();
    x * scale * weight.clone().unsqueeze()
}

/// Row numbers on the device.
pub(crate) fn indices(rows: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}
