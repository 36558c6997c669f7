//! The final norm, the head, and what is read from its logits while they are in the cache.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::buffers::{BufferPool, ThreadBuffers, resized};
use super::host::host;
use super::linear::{Columns, Kernels, Linear, StoreMode, WeightPart, WeightValues};
use super::rows::{MostLikely, RmsNorm, TargetScores};
use super::simd::run;
use crate::Error;
use crate::engine::{LmHead, Target, TargetScore};
use crate::weights::Sizes;

/// About how many logits a thread computes at once: they stay in its cache.
const LOGITS_AT_ONCE: usize = 1 << 18;

/// The final norm and the head in panels.
#[derive(Debug)]
pub(crate) struct CpuHead {
    /// `[hidden]`
    norm: Vec<f32>,
    /// The epsilon of the norm.
    eps: f32,
    /// `[vocabulary, hidden]`
    head: Linear,
    pool: Arc<BufferPool>,
}

impl CpuHead {
    /// Packs the head `[vocabulary, hidden]` for the kernels.
    pub(super) fn new(
        sizes: Sizes,
        norm: Tensor<1>,
        head: Tensor<2>,
        kernels: &Kernels,
        pool: Arc<BufferPool>,
    ) -> Result<Self, Error> {
        let [outputs, inputs] = head.dims();
        let part = WeightPart { weight: WeightValues::of(head.reshape([outputs * inputs]))?, outputs, bias: None };
        let head = Linear::new(&[part], inputs, Columns::Plain, kernels);
        Ok(Self { norm: host(norm)?, eps: sizes.eps, head, pool })
    }

    /// How many of `rows` rows each of `threads` threads takes at a time.
    fn block(&self, rows: usize, threads: usize) -> usize {
        let cached = (LOGITS_AT_ONCE / self.head.outputs().max(1)).clamp(12, 96);
        rows.div_ceil(threads.max(1)).clamp(1, cached)
    }

    /// The logits of some rows of `x`, `[rows, vocabulary]`; with `split`, the threads share the head out.
    fn logits_of<'a>(
        &self,
        x: &[f32],
        rows: impl Iterator<Item = usize>,
        buffers: &'a mut ThreadBuffers,
        split: bool,
    ) -> &'a [f32] {
        let ThreadBuffers { normed, wide, attended: chosen, packed, .. } = buffers;
        let width = self.norm.len();
        chosen.clear();
        rows.for_each(|row| chosen.extend_from_slice(&x[row * width..(row + 1) * width]));
        let normed = resized(normed, chosen.len());
        run(RmsNorm { x: chosen, weight: &self.norm, eps: self.eps, out: normed });
        let logits = resized(wide, chosen.len() / width * self.head.outputs());
        self.head.apply(normed, logits, StoreMode::Set, packed, split);
        logits
    }
}

impl LmHead for CpuHead {
    fn bytes(&self) -> usize {
        self.head.bytes() + size_of_val(self.norm.as_slice())
    }

    /// Blocks of rows are computed one after the other; the threads share the head out.
    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        let [rows, _] = x.dims();
        let x = host(x)?;
        let block = (LOGITS_AT_ONCE / self.head.outputs().max(1)).clamp(12, 1024);
        for start in (0..rows).step_by(block) {
            self.pool.with(|buffers| each(self.logits_of(&x, start..rows.min(start + block), buffers, true)));
        }
        self.pool.give(x);
        Ok(())
    }

    /// The threads share the rows out, or the head if there are few rows. The logits of a block are read while they
    /// are in the cache.
    fn score(&self, x: Tensor<2>, targets: &[Target], threads: usize) -> Result<Vec<TargetScore>, Error> {
        let x = host(x)?;
        let of_row: Vec<&[Target]> = targets.chunk_by(|a, b| a.row == b.row).collect();
        let block = self.block(of_row.len(), threads);
        let split = of_row.len() <= block && threads > 1;
        let vocabulary = self.head.outputs();
        let scores = of_row.par_chunks(block).map(|of_row| {
            self.pool.with(|buffers| {
                let rows = of_row.iter().map(|targets| targets[0].row as usize);
                let logits = self.logits_of(&x, rows, buffers, split).chunks_exact(vocabulary);
                let scores = logits.zip(of_row).flat_map(|(logits, targets)| run(TargetScores { logits, targets }));
                scores.collect::<Vec<_>>()
            })
        });
        let scores = scores.flatten_iter().collect();
        self.pool.give(x);
        Ok(scores)
    }

    /// As [`LmHead::score`].
    fn most_likely(&self, x: Tensor<2>, threads: usize) -> Result<Vec<u32>, Error> {
        let [rows, _] = x.dims();
        let x = host(x)?;
        let (block, vocabulary) = (self.block(rows, threads), self.head.outputs());
        let starts: Vec<usize> = (0..rows).step_by(block).collect();
        let split = starts.len() == 1 && threads > 1;
        let tokens = starts.par_iter().map(|&start| {
            self.pool.with(|buffers| {
                let logits = self.logits_of(&x, start..rows.min(start + block), buffers, split);
                logits.chunks_exact(vocabulary).map(|row| run(MostLikely(row))).collect::<Vec<_>>()
            })
        });
        let tokens = tokens.flatten_iter().collect();
        self.pool.give(x);
        Ok(tokens)
    }
}
