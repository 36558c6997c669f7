//! A decoder layer in two walks over blocks of rows.
//!
//! | walk | steps on a block | from | to |
//! |---|---|---|---|
//! | first | norm | `[rows, hidden]` | `[rows, hidden]` |
//! | | one product for queries, keys and values | `[rows, hidden]` | `[rows, (queries + 2 kv) * dim]` |
//! | | norms of heads (Qwen3), rotation | `[rows, (queries + 2 kv) * dim]` | queries, keys, values of all rows |
//! | second | attention | queries; keys and values of all rows seen | `[rows, queries * dim]` |
//! | | output, added to the stream | `[rows, queries * dim]` | `[rows, hidden]` |
//! | | norm; gate and up in one product, `silu(gate) * up` | `[rows, hidden]` | `[rows, intermediate]` |
//! | | down, added to the stream | `[rows, intermediate]` | `[rows, hidden]` |
//!
//! The stream is changed in place. Between the walks all threads wait, as a query needs the keys of rows in other
//! blocks.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;
use tailor_simd::{RmsNorm, run};

use super::attend::{AttentionInputs, attend};
use super::blocks::Blocks;
use super::buffers::{BufferPool, ThreadBuffers, resized};
use super::cache::CpuCache;
use super::host::{host, matrix};
use super::linear::{Columns, Kernels, Linear, StoreMode, WeightPart, WeightValues};
use super::rows::Rotate;
use crate::Error;
use crate::batch::Batch;
use crate::engine::{DecoderLayer, LayerPass, WithInner};
use crate::weights::{LayerTensors, Projection, Sizes};

/// A layer's weights in panels.
#[derive(Debug)]
pub(crate) struct CpuLayer {
    sizes: Sizes,
    /// `[hidden]`
    input_norm: Vec<f32>,
    /// From `[hidden]` to `[(queries + 2 kv) * dim]`.
    qkv: Linear,
    /// The norms over each head's query and key, `[dim]` each.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    /// From `[queries * dim]` to `[hidden]`.
    output: Linear,
    /// `[hidden]`
    post_attention_norm: Vec<f32>,
    /// From `[hidden]` to `[intermediate]`: gate and up as [`Columns::Gated`].
    gate_up: Linear,
    /// From `[intermediate]` to `[hidden]`.
    down: Linear,
    /// Where intermediate results come from.
    pool: Arc<BufferPool>,
}

/// Queries, keys and values of all rows of a batch, the first two after rotation.
struct Projected {
    /// `[rows, queries * dim]`
    queries: Vec<f32>,
    /// `[rows, kv * dim]`
    keys: Vec<f32>,
    /// `[rows, kv * dim]`
    values: Vec<f32>,
}

/// Memory for what stands inside of a layer, for a block of rows.
#[derive(Default)]
struct Inside<'a> {
    /// For `silu(gate) * up`, `[rows, intermediate]`.
    inner: Option<&'a mut [f32]>,
    /// For the input of the output projection, `[rows, queries * dim]`, and the stream after it, `[rows, hidden]`.
    attention: Option<(&'a mut [f32], &'a mut [f32])>,
}

impl CpuLayer {
    /// Packs a layer's tensors for the kernels.
    pub(super) fn new(
        sizes: Sizes,
        tensors: LayerTensors,
        kernels: &Kernels,
        pool: Arc<BufferPool>,
    ) -> Result<Self, Error> {
        let linear = |projections: Vec<Projection>, columns: Columns| -> Result<Linear, Error> {
            let inputs = projections.first().map_or(0, |projection| projection.inputs);
            let part = |projection: Projection| {
                let bias = projection.bias.map(host).transpose()?;
                Ok(WeightPart { weight: WeightValues::of(projection.weight)?, outputs: projection.outputs, bias })
            };
            let parts = projections.into_iter().map(part).collect::<Result<Vec<_>, Error>>()?;
            Ok(Linear::new(&parts, inputs, columns, kernels))
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
                self.pool.with(|buffers| {
                    let ThreadBuffers { normed, wide, products, .. } = buffers;
                    let normed = self.normed(x, &self.input_norm, normed);
                    let qkv = resized(wide, x.len() / hidden * self.qkv.outputs());
                    self.qkv.apply(normed, qkv, StoreMode::Set, products, blocks.split());
                    let norms = self.head_norms.as_ref();
                    let norms = norms.map(|(query, key)| (query.as_slice(), key.as_slice(), self.sizes.eps));
                    run(Rotate { qkv, heads, norms, cos, sin, q: queries, k: keys, v: values });
                });
            });
        out
    }

    /// The second walk, in place: attention, output, norm, gated layer. `x` holds the rows of the blocks; `inside` has
    /// for each block the memory for what stands inside, of those who ask for it.
    fn mix<'i>(
        &self,
        x: &mut [f32],
        inside: impl IndexedParallelIterator<Item = Inside<'i>>,
        seen: AttentionInputs<'_>,
        pass: LayerPass<'_, Blocks>,
        blocks: &Blocks,
    ) {
        let Sizes { hidden, intermediate, heads, .. } = self.sizes;
        let split = blocks.split();
        let rows = x.par_chunks_mut(blocks.size * hidden).zip(inside);
        rows.zip(&blocks.runs).with_max_len(1).for_each(|((x, inside), runs)| {
            self.pool.with(|buffers| {
                let ThreadBuffers { normed, wide, attended, products, attention } = buffers;
                let rows = x.len() / hidden;
                let attended = resized(attended, rows * heads.queries * heads.dim);
                attend(seen, &pass.batch.attention, runs, attended, attention);
                self.output.apply(attended, x, StoreMode::Add, products, split);
                if let Some((shown, stream)) = inside.attention {
                    shown.copy_from_slice(attended);
                    stream.copy_from_slice(x);
                }
                let normed = self.normed(x, &self.post_attention_norm, normed);
                let gated = inside.inner.unwrap_or_else(|| resized(wide, rows * intermediate));
                self.gate_up.apply(normed, gated, StoreMode::Set, products, split);
                self.down.apply(gated, x, StoreMode::Add, products, split);
                if pass.settings.scale != 1.0 {
                    x.iter_mut().for_each(|value| *value *= pass.settings.scale);
                }
            });
        });
    }

    /// The norm of all rows of a block, in `out`.
    fn normed<'a>(&self, x: &[f32], weight: &[f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        let out = resized(out, x.len());
        run(RmsNorm { x, weight, eps: self.sizes.eps, out });
        out
    }
}

impl DecoderLayer for CpuLayer {
    type Layout = Blocks;
    type Cache = CpuCache;

    /// Panels and norms.
    fn bytes(&self) -> usize {
        let linears = [&self.qkv, &self.output, &self.gate_up, &self.down];
        let norms = self.input_norm.len() + self.post_attention_norm.len();
        linears.iter().map(|linear| linear.bytes()).sum::<usize>() + norms * size_of::<f32>()
    }

    /// Keys and values are computed of all rows; the second walk is of the wanted rows only.
    fn forward(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, Blocks>,
        cache: Option<&mut CpuCache>,
    ) -> Result<Tensor<2>, Error> {
        let Sizes { hidden, heads, .. } = self.sizes;
        let LayerPass { settings, batch, layout: all, wanted } = pass;
        let mut x = host(x)?;
        let Projected { queries, keys, values } = self.project(&x, batch, all);

        let some = wanted.map(|rows| Blocks::some(&batch.attention, rows, batch.threads));
        if let Some(rows) = wanted {
            let mut some = self.pool.buffer(rows.len() * hidden);
            for (some, row) in some.chunks_exact_mut(hidden).zip(rows) {
                some.copy_from_slice(&x[*row as usize * hidden..][..hidden]);
            }
            self.pool.give(std::mem::replace(&mut x, some));
        }
        let blocks = some.as_ref().unwrap_or(all);
        let (seen_keys, seen_values) = match cache {
            None => (&keys, &values),
            Some(cache) => {
                cache.place(&batch.attention, heads.kv * heads.dim, &keys, &values);
                (&cache.keys, &cache.values)
            }
        };
        let inputs =
            AttentionInputs { queries: &queries, keys: seen_keys, values: seen_values, heads, window: settings.window };
        let nothing = blocks.runs.par_iter().map(|_| Inside::default());
        self.mix(&mut x, nothing, inputs, pass, blocks);
        [queries, keys, values].into_iter().for_each(|buffer| self.pool.give(buffer));
        Ok(matrix(x, hidden))
    }

    fn forward_with_inner(
        &self,
        x: Tensor<2>,
        pass: LayerPass<'_, Blocks>,
        attention: bool,
    ) -> Result<WithInner, Error> {
        let Sizes { hidden, intermediate, heads, .. } = self.sizes;
        let LayerPass { settings, batch, layout: blocks, .. } = pass;
        let mut x = host(x)?;
        let Projected { queries, keys, values } = self.project(&x, batch, blocks);
        let inputs =
            AttentionInputs { queries: &queries, keys: &keys, values: &values, heads, window: settings.window };
        let (rows, width) = (batch.tokens.len(), heads.queries * heads.dim);
        let mut inner = vec![0.0; rows * intermediate];
        let shown = if attention { rows } else { 0 };
        let (mut attended, mut stream) = (vec![0.0; shown * width], vec![0.0; shown * hidden]);
        let gated = inner.par_chunks_mut(blocks.size * intermediate);
        if attention {
            let seen = attended.par_chunks_mut(blocks.size * width).zip(stream.par_chunks_mut(blocks.size * hidden));
            let inside = gated.zip(seen).map(|(inner, seen)| Inside { inner: Some(inner), attention: Some(seen) });
            self.mix(&mut x, inside, inputs, pass, blocks);
        } else {
            let inside = gated.map(|inner| Inside { inner: Some(inner), attention: None });
            self.mix(&mut x, inside, inputs, pass, blocks);
        }
        [queries, keys, values].into_iter().for_each(|buffer| self.pool.give(buffer));
        let attention = attention.then(|| [matrix(attended, width), matrix(stream, hidden)]);
        Ok(WithInner { stream: matrix(x, hidden), inner: matrix(inner, intermediate), attention })
    }
}
