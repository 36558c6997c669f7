//! The final norm, the head, and what is read off its logits while they are in the cache.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::host;
use super::linear::{Bf16Kernel, Columns, Linear, Numbers, Part, Put};
use super::pool::{Pool, Scratch, sized};
use super::rows::{MostLikely, RmsNorm, Score};
use super::simd::run;
use crate::Error;
use crate::engine::{Ending, Target, TargetScore};
use crate::weights::Sizes;

/// Elements of logits that are made at once by a thread.
const LOGITS_AT_ONCE: usize = 1 << 18;

/// The final norm and the head in panels.
#[derive(Debug)]
pub(super) struct CpuEnding {
    norm: Vec<f32>,
    eps: f32,
    head: Linear,
    pool: Arc<Pool>,
}

impl CpuEnding {
    pub fn new(
        sizes: Sizes,
        norm: Tensor<1>,
        head: Tensor<2>,
        bf16: Option<Bf16Kernel>,
        pool: Arc<Pool>,
    ) -> Result<Self, Error> {
        let [outputs, inputs] = head.dims();
        let part = Part { weight: Numbers::of(head.reshape([outputs * inputs]))?, outputs, bias: None };
        let head = Linear::new(&[part], inputs, Columns::Plain, bf16);
        Ok(Self { norm: host(norm)?, eps: sizes.eps, head, pool })
    }

    /// How many of `rows` rows each of some threads takes at a time.
    fn block(&self, rows: usize, threads: usize) -> usize {
        let cached = (LOGITS_AT_ONCE / self.head.outputs().max(1)).clamp(12, 96);
        rows.div_ceil(threads.max(1)).clamp(1, cached)
    }

    /// The logits of some rows of `x`, `[rows, vocabulary]`.
    fn logits_of<'a>(
        &self,
        x: &[f32],
        rows: impl Iterator<Item = usize>,
        scratch: &'a mut Scratch,
        split: bool,
    ) -> &'a [f32] {
        let Scratch { normed, wide, attended: chosen, product, .. } = scratch;
        let width = self.norm.len();
        chosen.clear();
        rows.for_each(|row| chosen.extend_from_slice(&x[row * width..(row + 1) * width]));
        let normed = sized(normed, chosen.len());
        run(RmsNorm { x: chosen, weight: &self.norm, eps: self.eps, out: normed });
        let logits = sized(wide, chosen.len() / width * self.head.outputs());
        self.head.apply(normed, logits, Put::Set, product, split);
        logits
    }
}

impl Ending for CpuEnding {
    fn bytes(&self) -> usize {
        self.head.bytes() + size_of_val(self.norm.as_slice())
    }

    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        let [rows, _] = x.dims();
        let x = host(x)?;
        let block = (LOGITS_AT_ONCE / self.head.outputs().max(1)).clamp(12, 1024);
        for start in (0..rows).step_by(block) {
            self.pool.with(|scratch| each(self.logits_of(&x, start..rows.min(start + block), scratch, true)));
        }
        self.pool.give(x);
        Ok(())
    }

    fn score(&self, x: Tensor<2>, targets: &[Target], threads: usize) -> Result<Vec<TargetScore>, Error> {
        let x = host(x)?;
        let of_row: Vec<&[Target]> = targets.chunk_by(|a, b| a.row == b.row).collect();
        let block = self.block(of_row.len(), threads);
        let split = of_row.len() <= block && threads > 1;
        let vocabulary = self.head.outputs();
        let scores = of_row.par_chunks(block).map(|of_row| {
            self.pool.with(|scratch| {
                let rows = of_row.iter().map(|targets| targets[0].row as usize);
                let logits = self.logits_of(&x, rows, scratch, split).chunks_exact(vocabulary);
                let scores = logits.zip(of_row).flat_map(|(logits, targets)| run(Score { logits, targets }));
                scores.collect::<Vec<_>>()
            })
        });
        let scores = scores.flatten_iter().collect();
        self.pool.give(x);
        Ok(scores)
    }

    fn most_likely(&self, x: Tensor<2>, threads: usize) -> Result<Vec<u32>, Error> {
        let [rows, _] = x.dims();
        let x = host(x)?;
        let (block, vocabulary) = (self.block(rows, threads), self.head.outputs());
        let starts: Vec<usize> = (0..rows).step_by(block).collect();
        let split = starts.len() == 1 && threads > 1;
        let tokens = starts.par_iter().map(|&start| {
            self.pool.with(|scratch| {
                let logits = self.logits_of(&x, start..rows.min(start + block), scratch, split);
                logits.chunks_exact(vocabulary).map(|row| run(MostLikely(row))).collect::<Vec<_>>()
            })
        });
        let tokens = tokens.flatten_iter().collect();
        self.pool.give(x);
        Ok(tokens)
    }
}
