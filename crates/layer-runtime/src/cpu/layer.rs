//! A decoder layer in two walks over blocks of rows.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::attend::{Inputs, attend};
use super::linear::{Bf16Kernel, Columns, Linear, Numbers, Part, Put};
use super::pool::{Pool, Scratch, sized};
use super::rows::{RmsNorm, Rotate};
use super::simd::run;
use super::{Blocks, host, matrix};
use crate::Error;
use crate::batch::Batch;
use crate::cache::LayerCache;
use crate::engine::{Layer, LayerPass};
use crate::weights::{LayerTensors, Projection, Sizes};

/// A layer's weights in panels.
#[derive(Debug)]
pub(super) struct CpuLayer {
    sizes: Sizes,
    input_norm: Vec<f32>,
    qkv: Linear,
    /// Over each head's queries and keys.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    output: Linear,
    post_attention_norm: Vec<f32>,
    gate_up: Linear,
    down: Linear,
    pool: Arc<Pool>,
}

/// Queries, keys and values of all rows of a batch.
struct Projected {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl CpuLayer {
    pub fn new(sizes: Sizes, tensors: LayerTensors, bf16: Option<Bf16Kernel>, pool: Arc<Pool>) -> Result<Self, Error> {
        let linear = |projections: Vec<Projection>, columns: Columns| -> Result<Linear, Error> {
            let inputs = projections.first().map_or(0, |projection| projection.inputs);
            let part = |projection: Projection| {
                let bias = projection.bias.map(host).transpose()?;
                Ok(Part { weight: Numbers::of(projection.weight)?, outputs: projection.outputs, bias })
            };
            let parts = projections.into_iter().map(part).collect::<Result<Vec<_>, Error>>()?;
            Ok(Linear::new(&parts, inputs, columns, bf16))
        };
        Ok(Self {
            sizes,
            input_norm: host(tensors.input_norm)?,
            qkv: linear(tensors.qkv, Columns::Plain)?,
            head_norms: match tensors.head_norms {
                Some((queries, keys)) => Some((host(queries)?, host(keys)?)),
                None => None,
            },
            output: linear(vec![tensors.output], Columns::Plain)?,
            post_attention_norm: host(tensors.post_attention_norm)?,
            gate_up: linear(tensors.gate_up, Columns::Gated)?,
            down: linear(vec![tensors.down], Columns::Plain)?,
            pool,
        })
    }

    /// The first walk: norm, projections, rotation.
    fn project(&self, x: &[f32], batch: &Batch, blocks: &Blocks) -> Projected {
        let Sizes { hidden, heads, .. } = self.sizes;
        let (q, kv) = (heads.queries * heads.dim, heads.kv * heads.dim);
        let rows = batch.tokens.len();
        let mut out = Projected {
            queries: self.pool.buffer(rows * q),
            keys: self.pool.buffer(rows * kv),
            values: self.pool.buffer(rows * kv),
        };
        let (size, half) = (blocks.size, heads.dim / 2);
        let turns = batch.rotations.cos.par_chunks(size * half).zip(batch.rotations.sin.par_chunks(size * half));
        let keys_values = out.keys.par_chunks_mut(size * kv).zip(out.values.par_chunks_mut(size * kv));
        x.par_chunks(size * hidden)
            .zip(turns)
            .zip(out.queries.par_chunks_mut(size * q).zip(keys_values))
            .with_max_len(1)
            .for_each(|((x, (cos, sin)), (queries, (keys, values)))| {
                self.pool.with(|scratch| {
                    let Scratch { normed, wide, product, .. } = scratch;
                    let normed = self.normed(x, &self.input_norm, normed);
                    let qkv = sized(wide, x.len() / hidden * self.qkv.outputs());
                    self.qkv.apply(normed, qkv, Put::Set, product, blocks.split());
                    let norms = self.head_norms.as_ref();
                    let norms = norms.map(|(query, key)| (query.as_slice(), key.as_slice(), self.sizes.eps));
                    run(Rotate { qkv, heads, norms, cos, sin, q: queries, k: keys, v: values });
                });
            });
        out
    }

    /// The second walk, in place: attention, output, norm, gated layer. `x` holds the rows of the blocks.
    fn mix(&self, x: &mut [f32], seen: Inputs<'_>, pass: LayerPass<'_>, blocks: &Blocks) {
        let Sizes { hidden, intermediate, heads, .. } = self.sizes;
        let split = blocks.split();
        x.par_chunks_mut(blocks.size * hidden).zip(&blocks.runs).with_max_len(1).for_each(|(x, runs)| {
            self.pool.with(|scratch| {
                let Scratch { normed, wide, attended, product, attention } = scratch;
                let rows = x.len() / hidden;
                let attended = sized(attended, rows * heads.queries * heads.dim);
                attend(seen, &pass.batch.attention, runs, attended, attention);
                self.output.apply(attended, x, Put::Add, product, split);
                let normed = self.normed(x, &self.post_attention_norm, normed);
                let gated = sized(wide, rows * intermediate);
                self.gate_up.apply(normed, gated, Put::Set, product, split);
                self.down.apply(gated, x, Put::Add, product, split);
                if pass.settings.scale != 1.0 {
                    x.iter_mut().for_each(|value| *value *= pass.settings.scale);
                }
            });
        });
    }

    fn normed<'a>(&self, x: &[f32], weight: &[f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        let out = sized(out, x.len());
        run(RmsNorm { x, weight, eps: self.sizes.eps, out });
        out
    }
}

impl Layer for CpuLayer {
    fn bytes(&self) -> usize {
        let linears = [&self.qkv, &self.output, &self.gate_up, &self.down];
        let norms = self.input_norm.len() + self.post_attention_norm.len();
        linears.iter().map(|linear| linear.bytes()).sum::<usize>() + norms * size_of::<f32>()
    }

    fn forward(&self, x: Tensor<2>, pass: LayerPass<'_>, cache: Option<&mut LayerCache>) -> Result<Tensor<2>, Error> {
        let Sizes { hidden, heads, .. } = self.sizes;
        let mut x = host(x)?;
        let all = pass.batch.blocks();
        let Projected { queries, keys, values } = self.project(&x, pass.batch, all);
        let window = pass.settings.window;

        let some = pass.wanted.map(|rows| Blocks::some(&pass.batch.attention, rows, pass.batch.threads));
        if let Some(rows) = pass.wanted {
            let mut some = self.pool.buffer(rows.len() * hidden);
            for (some, row) in some.chunks_exact_mut(hidden).zip(rows) {
                some.copy_from_slice(&x[*row as usize * hidden..][..hidden]);
            }
            self.pool.give(std::mem::replace(&mut x, some));
        }
        let blocks = some.as_ref().unwrap_or(all);
        let seen = cache.map(|cache| cache.place(&pass.batch.attention, heads.kv * heads.dim, &keys, &values));
        let (seen_keys, seen_values) = seen.map_or((&keys, &values), |seen| (&seen.keys, &seen.values));
        let inputs = Inputs { queries: &queries, keys: seen_keys, values: seen_values, heads, window };
        self.mix(&mut x, inputs, pass, blocks);
        [queries, keys, values].into_iter().for_each(|buffer| self.pool.give(buffer));
        Ok(matrix(x, hidden))
    }
}
