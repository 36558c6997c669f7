//! The final norm, the head, and what is read from its logits while they are in the cache.
//!
//! A vocabulary may be large: 49,152 tokens of 576 numbers are 113 MB in f32. So the head is read in chunks of
//! outputs, each once for many rows, and a chunk's logits are reduced to a few numbers before the next chunk: there is
//! no `[rows, vocabulary]` anywhere, but where somebody asks for logits.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;
use tailor_simd::{RmsNorm, run};

use super::buffers::{BufferPool, ThreadBuffers, resized};
use super::host::host;
use super::linear::{Columns, Kernels, Linear, StoreMode, WeightPart, WeightValues};
use super::summary::Summary;
use crate::Error;
use crate::engine::{LmHead, Target, TargetScore};
use crate::weights::Sizes;

/// About how many logits are computed at once for somebody who asks for them.
const LOGITS_AT_ONCE: usize = 1 << 22;
/// The most rows for which a chunk of outputs is read once: their activations and logits stay in the second cache.
const MOST_ROWS: usize = 192;

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

    /// The norm of rows `[rows, hidden]`, in `out`.
    fn normed<'a>(&self, x: &[f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        let out = resized(out, x.len());
        run(RmsNorm { x, weight: &self.norm, eps: self.eps, out });
        out
    }

    /// What is left of the logits of some rows of `x`, each with its targets, as blocks of rows.
    fn summaries(&self, x: &[f32], rows: &[Row<'_>], threads: usize) -> Vec<Summary> {
        let blocks = rows.len().div_ceil(MOST_ROWS);
        let (block, parts) = if blocks < threads {
            (MOST_ROWS, 2 * threads.max(1))
        } else {
            (rows.len().div_ceil(blocks.next_multiple_of(threads.max(1))), 1)
        };
        let (chunks, of_part) = (self.head.chunks(), self.head.chunks().div_ceil(parts).max(1));
        let tasks = rows.par_chunks(block.max(1)).flat_map_iter(|rows| {
            let firsts = (0..chunks).step_by(of_part);
            firsts.map(move |first| (rows, first..chunks.min(first + of_part)))
        });
        let parts = tasks.collect::<Vec<_>>().into_par_iter().with_max_len(1);
        let parts: Vec<Summary> = parts.map(|(rows, chunks)| self.summary(x, rows, chunks)).collect();
        let mut summaries = Vec::new();
        let mut parts = parts.into_iter();
        while let Some(mut summary) = parts.next() {
            let others = chunks.div_ceil(of_part) - 1;
            parts.by_ref().take(others).for_each(|later| summary.append(later));
            summaries.push(summary);
        }
        summaries
    }

    /// What is left of some chunks of the logits of a block of rows.
    fn summary(&self, x: &[f32], rows: &[Row<'_>], chunks: Range<usize>) -> Summary {
        let width = self.norm.len();
        let of_row = rows.iter().enumerate().map(|(place, row)| (place, row.targets));
        let asked =
            of_row.flat_map(|(place, targets)| targets.iter().map(move |target| (place, target.token as usize)));
        let asked: Vec<(usize, usize)> = asked.collect();
        let mut summary = Summary::new(rows.len(), asked.len());
        self.pool.with(|buffers| {
            let ThreadBuffers { normed, wide, attended: chosen, products, .. } = buffers;
            chosen.clear();
            rows.iter().for_each(|row| chosen.extend_from_slice(&x[row.place * width..(row.place + 1) * width]));
            self.head.pack(self.normed(chosen, normed), products);
            for chunk in chunks {
                let tokens = self.head.chunk(rows.len(), products, chunk, wide);
                summary.read(wide, tokens, asked.iter().copied());
            }
        });
        summary
    }
}

/// A row of the residual stream, and what is asked about it.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    /// Its place in the stream.
    place: usize,
    targets: &'a [Target],
}

impl LmHead for CpuHead {
    fn bytes(&self) -> usize {
        self.head.bytes() + size_of_val(self.norm.as_slice())
    }

    /// Blocks of rows are computed one after the other; the threads share the head out.
    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        let x = host(x)?;
        let block = (LOGITS_AT_ONCE / self.head.outputs().max(1)).clamp(12, 1024);
        for x in x.chunks(block * self.norm.len()) {
            self.pool.with(|buffers| {
                let ThreadBuffers { normed, wide, products, .. } = buffers;
                let logits = resized(wide, x.len() / self.norm.len() * self.head.outputs());
                self.head.apply(self.normed(x, normed), logits, StoreMode::Set, products, true);
                each(logits);
            });
        }
        self.pool.give(x);
        Ok(())
    }

    fn score(&self, x: Tensor<2>, targets: &[Target], threads: usize) -> Result<Vec<TargetScore>, Error> {
        let x = host(x)?;
        let of_row = targets.chunk_by(|a, b| a.row == b.row);
        let rows: Vec<Row<'_>> = of_row.map(|targets| Row { place: targets[0].row as usize, targets }).collect();
        let summaries = self.summaries(&x, &rows, threads);
        self.pool.give(x);
        let of_rows = || summaries.iter().flat_map(|summary| summary.normalisers().zip(summary.most_likely()));
        let of_targets = rows.iter().zip(of_rows()).flat_map(|(row, of_row)| row.targets.iter().map(move |_| of_row));
        let logits = summaries.iter().flat_map(Summary::wanted);
        let scores = targets.iter().zip(of_targets).zip(logits).map(|((target, (normaliser, best)), logit)| {
            TargetScore { log_probability: logit - normaliser, greedy: best == target.token }
        });
        Ok(scores.collect())
    }

    fn most_likely(&self, x: Tensor<2>, threads: usize) -> Result<Vec<u32>, Error> {
        let [rows, _] = x.dims();
        let x = host(x)?;
        let rows: Vec<Row<'_>> = (0..rows).map(|place| Row { place, targets: &[] }).collect();
        let tokens = self.summaries(&x, &rows, threads).iter().flat_map(Summary::most_likely).collect();
        self.pool.give(x);
        Ok(tokens)
    }
}
