//! The final norm and the head in burn's operations.

use burn::tensor::{DType, Tensor};

use super::tensors::{bytes, indices, rms_norm};
use crate::Error;
use crate::engine::{LmHead, Target, TargetScore};
use crate::weights::Sizes;

/// The most logits that are computed at once.
const LOGITS_AT_ONCE: usize = 1 << 22;

/// The final norm and the head as tensors.
#[derive(Debug)]
pub(crate) struct BurnHead {
    /// `[hidden]`
    norm: Tensor<1>,
    /// The epsilon of the norm.
    eps: f64,
    /// `[hidden, vocabulary]`
    head: Tensor<2>,
}

impl BurnHead {
    /// `head` is `[vocabulary, hidden]`, in the type of the products.
    pub fn new(sizes: Sizes, norm: Tensor<1>, head: Tensor<2>) -> Self {
        Self { norm, eps: f64::from(sizes.eps), head: head.transpose() }
    }

    /// Hands out the logits of some rows, a few megabytes at a time, each block with the index of its first row.
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

    /// All rows of a stream.
    fn all(x: &Tensor<2>) -> Vec<u32> {
        (0..x.dims()[0] as u32).collect()
    }
}

impl LmHead for BurnHead {
    fn bytes(&self) -> usize {
        bytes(&self.head) + bytes(&self.norm)
    }

    /// A few megabytes of logits at a time are fetched from the device.
    fn logits(&self, x: Tensor<2>, each: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        self.each_block(&x, &Self::all(&x), &mut |_, logits| {
            each(&logits.try_into_vec_as::<f32>()?);
            Ok(())
        })
    }

    /// Each block of rows has its normalisers, its most likely tokens and its targets' logits computed on the device;
    /// these three are fetched. The threads are the device's own matter.
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

    /// The threads are the device's own matter.
    fn most_likely(&self, x: Tensor<2>, _threads: usize) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        self.each_block(&x, &Self::all(&x), &mut |_, logits| {
            tokens.extend(most_likely(logits)?);
            Ok(())
        })?;
        Ok(tokens)
    }
}

/// The scores of targets by the logits `[rows, vocabulary]` of their rows; both ascend.
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

/// The most likely token of each row.
fn most_likely(logits: Tensor<2>) -> Result<Vec<u32>, Error> {
    let best = logits.argmax(1).try_into_vec_as::<i64>()?;
    Ok(best.into_iter().map(|token| token as u32).collect())
}
