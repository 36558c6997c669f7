//! The end of the model on the device: final norm, head, losses, and their gradients, for the rows that count alone.
//!
//! Losses and gradients of logits are those of [`head.rs`](crate::head), by the same formulas; the way back through
//! head and norm is autodiff's. The logits of some rows are held at once, and none is kept for the next.

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::tensors::{indices, table};
use crate::{HiddenTarget, Target};

/// The most logits that are held at once, but for a row's own: 128 MiB in f32, of which there are about five.
const LOGITS: usize = 1 << 25;
/// A logit of a token that is taken out of the row.
const TAKEN_OUT: f32 = -1e30;

/// Rows whose logits are held at once.
pub(super) fn rows_at_once(vocabulary: usize) -> usize {
    (LOGITS / vocabulary.max(1)).max(1)
}

/// What is wanted of some rows, each named token in a column; rows that name fewer are filled up with token 0, whose
/// probability counts nothing there.
#[derive(Debug)]
pub(super) struct DeviceTargets {
    /// The rows of the stream, `[n]`.
    pub rows: Tensor<1, Int>,
    /// `[n, k]`
    tokens: Tensor<2, Int>,
    /// The probability of each, 0 in filled columns; `[n, k]`.
    p: Tensor<2>,
    /// Its logarithm, 0 in filled columns; `[n, k]`.
    ln_p: Tensor<2>,
    /// What takes a named token out of the row, 0 in filled columns; `[n, k]`.
    take_out: Tensor<2>,
    /// The probability of all others together, `[n, 1]`.
    p_rest: Tensor<2>,
    /// Its logarithm, 0 where there are none; `[n, 1]`.
    ln_p_rest: Tensor<2>,
    /// What a row's loss is multiplied by, `[n, 1]`.
    weight: Tensor<2>,
}

/// The losses of some rows, and the gradient of their logits.
pub(super) struct Losses {
    /// Each times its weight, `[n]`.
    pub rows: Tensor<1>,
    /// `[n, vocabulary]`; `None` where no gradient is wanted.
    pub d_logits: Option<Tensor<2>>,
}

impl DeviceTargets {
    pub fn new(targets: &[Target<'_>], device: &Device) -> Self {
        let columns = targets.iter().map(|target| target.tokens.len()).max().unwrap_or(0).max(1);
        let (rows, shape) = (targets.len(), [targets.len(), columns]);
        let mut tokens = vec![0_i32; rows * columns];
        let (mut p, mut ln_p) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
        let mut take_out = vec![0.0; rows * columns];
        for (row, target) in targets.iter().enumerate() {
            for (place, (token, named)) in (row * columns..).zip(target.tokens.iter().zip(target.ln_p)) {
                (tokens[place], take_out[place]) = (*token as i32, TAKEN_OUT);
                (p[place], ln_p[place]) = (probability(*named), logarithm(*named));
            }
        }
        let column = |value: &dyn Fn(&Target<'_>) -> f32| table(targets.iter().map(value).collect(), [rows, 1], device);
        Self {
            rows: indices(targets.iter().map(|target| target.row as i32).collect(), device),
            tokens: Tensor::from_data(TensorData::new(tokens, shape), device),
            p: table(p, shape, device),
            ln_p: table(ln_p, shape, device),
            take_out: table(take_out, shape, device),
            p_rest: column(&|target| probability(target.ln_rest)),
            ln_p_rest: column(&|target| logarithm(target.ln_rest)),
            weight: column(&|target| target.weight),
        }
    }

    /// From the logits of the rows, `[n, vocabulary]`.
    pub fn losses(self, logits: Tensor<2>, gradient: bool) -> Losses {
        let Self { tokens, p, ln_p, take_out, p_rest, ln_p_rest, weight, .. } = self;
        // Filled columns are taken out here, named ones below.
        let filled = take_out.clone().neg() + TAKEN_OUT;
        let named = logits.clone().gather(1, tokens.clone()) + filled;
        let rest = logits.scatter(1, tokens.clone(), take_out, IndexingUpdateOp::Add);
        let ln_rest = ln_sum_exp(rest.clone());
        let ln_all = ln_sum_exp(Tensor::cat(vec![named.clone(), ln_rest.clone()], 1));
        let (ln_q, ln_q_rest) = (named - ln_all.clone(), ln_rest.clone() - ln_all);
        let divergence = ((ln_p - ln_q.clone()) * p.clone()).sum_dim(1);
        let divergence = divergence + (ln_p_rest - ln_q_rest.clone()) * p_rest.clone();
        let rows = (divergence * weight.clone()).squeeze_dim(1);
        let d_logits = gradient.then(|| {
            let d_named = (ln_q.exp() - p) * weight.clone();
            let of_rest = (ln_q_rest.exp() - p_rest) * weight;
            let d_rest = (rest - ln_rest).exp() * of_rest; // 0 for tokens that were taken out
            d_rest.scatter(1, tokens, d_named, IndexingUpdateOp::Add)
        });
        Losses { rows, d_logits }
    }
}

/// The streams that are wanted of some rows.
#[derive(Debug)]
pub(super) struct DeviceStreams {
    /// The rows of the model's stream, `[n]`.
    pub rows: Tensor<1, Int>,
    /// `[n, hidden]`
    streams: Tensor<2>,
    /// A loss's weight over the square of the wanted stream, `[n, 1]`.
    scale: Tensor<2>,
}

impl DeviceStreams {
    /// Those of the targets that want one; `None` if there is none.
    pub fn new(targets: &[Target<'_>], device: &Device) -> Option<Self> {
        let wanted: Vec<(usize, HiddenTarget<'_>)> =
            targets.iter().filter_map(|target| Some((target.row, target.hidden?))).collect();
        let width = wanted.first()?.1.stream.len();
        let scale = wanted.iter().map(|(_, wanted)| wanted.scale() as f32).collect();
        let streams = wanted.iter().flat_map(|(_, wanted)| wanted.stream).copied().collect();
        Some(Self {
            rows: indices(wanted.iter().map(|(row, _)| *row as i32).collect(), device),
            streams: table(streams, [wanted.len(), width], device),
            scale: table(scale, [wanted.len(), 1], device),
        })
    }

    /// Their losses, `[n]`, and the gradient of the model's stream at the rows, `[n, hidden]`, from that
    /// stream.
    pub fn losses(self, x: &Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let apart = x.clone().select(0, self.rows) - self.streams;
        let scaled = apart.clone() * self.scale;
        ((apart * scaled.clone()).sum_dim(1).squeeze_dim(1), scaled * 2.0)
    }
}

fn probability(ln_p: f32) -> f32 {
    ln_p.exp()
}

/// Any number where the probability is 0, as it is multiplied by that.
fn logarithm(ln_p: f32) -> f32 {
    if ln_p == f32::NEG_INFINITY { 0.0 } else { ln_p }
}

/// The logarithm of each row's sum of exponentials, `[n, 1]`.
fn ln_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let highest = x.clone().max_dim(1);
    (x - highest.clone()).exp().sum_dim(1).log() + highest
}
