//! The end of a model: final norm, head, loss, and their gradients, for the rows that count alone.
//!
//! A row's loss is `sum_t p_t ln(p_t / q_t) + p_r ln(p_r / q_r)`: the divergence of the model's distribution q from
//! what is wanted, p, over the tokens that it names, with all others taken as one, r. A right answer is `p = 1` for its
//! token: then this is the cross entropy. With logits z: `dz_t = q_t - p_t` of a named token, and of another
//! `dz_j = (q_r - p_r) q_j / q_r`. Where a stream is wanted too, the loss of [`HiddenTarget`] comes on top.
//!
//! The logits of a block of rows are computed in pieces of the vocabulary, and none is kept for the next block.

use rayon::prelude::*;

use crate::HiddenTarget;
use crate::buffers::Buffers;
use crate::cpu::norm::NormaliseBack;
use tailor_simd::{Matrix, RmsNorm, Store, product, run};

mod rows;

use rows::{PieceSums, RestGradient, RestSum};

/// The most logits of a block of rows, but for a row's own.
const LOGITS: usize = 1 << 24;
/// The most rows of a block.
const ROWS: usize = 256;
/// The most tokens of a piece of the vocabulary, and the least number of pieces.
const TOKENS: usize = 2048;
const PIECES: usize = 8;
/// Rows whose gradient a thread computes.
const GRADIENT_ROWS: usize = 32;

/// What is wanted behind one row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The row.
    pub row: usize,
    /// What its loss is multiplied by.
    pub weight: f32,
    /// The tokens that are wanted, each once, in ascending order.
    pub tokens: &'a [u32],
    /// The logarithm of the probability of each.
    pub ln_p: &'a [f32],
    /// The logarithm of that of all others together; minus infinity for none.
    pub ln_rest: f32,
    /// The stream that is wanted at the row, if one is.
    pub hidden: Option<HiddenTarget<'a>>,
}

impl<'a> Target<'a> {
    /// A right answer: one token.
    #[must_use]
    pub fn token(row: usize, weight: f32, token: &'a u32) -> Self {
        Self {
            row,
            weight,
            tokens: std::slice::from_ref(token),
            ln_p: &[0.0],
            ln_rest: f32::NEG_INFINITY,
            hidden: None,
        }
    }
}

/// The tensors of a model's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadWeights<'a> {
    /// `[hidden]`
    pub norm: &'a [f32],
    pub eps: f32,
    /// `[vocabulary, hidden]`
    pub head: &'a [f32],
}

/// Where gradients of a model's end go; they are added to what is there.
pub(crate) struct HeadGradients<'a> {
    /// Of the stream, `[rows, hidden]`.
    pub d_x: &'a mut [f32],
    /// `[hidden]`
    pub d_norm: Option<&'a mut [f32]>,
    /// `[vocabulary, hidden]`
    pub d_head: Option<&'a mut [f32]>,
}

/// The rows' losses, each times its weight, in nats; and their gradients, where they are wanted.
pub(crate) fn losses(
    weights: HeadWeights<'_>,
    x: &[f32],
    targets: &[Target<'_>],
    mut gradients: Option<HeadGradients<'_>>,
    buffers: &Buffers,
) -> Vec<f64> {
    let vocabulary = weights.head.len() / weights.norm.len();
    let rows = (LOGITS / vocabulary.max(1)).clamp(1, ROWS);
    let of_block = |targets| Block { weights, targets, buffers }.losses(x, gradients.as_mut());
    let mut losses: Vec<f64> = targets.chunks(rows).flat_map(of_block).collect();
    add_hidden_losses(&mut losses, x, targets, gradients.map(|gradients| gradients.d_x));
    losses
}

/// Adds those parts of the losses which are of the streams, `[rows, hidden]`.
fn add_hidden_losses(losses: &mut [f64], x: &[f32], targets: &[Target<'_>], mut d_x: Option<&mut [f32]>) {
    for (loss, target) in losses.iter_mut().zip(targets) {
        if let Some(wanted) = target.hidden {
            let hidden = wanted.stream.len();
            let place = target.row * hidden..(target.row + 1) * hidden;
            *loss += wanted.loss(&x[place.clone()], d_x.as_deref_mut().map(|d_x| &mut d_x[place]));
        }
    }
}

/// Some rows of a batch whose logits are held at once.
struct Block<'a> {
    weights: HeadWeights<'a>,
    targets: &'a [Target<'a>],
    buffers: &'a Buffers,
}

impl Block<'_> {
    fn hidden(&self) -> usize {
        self.weights.norm.len()
    }

    /// Tokens of a piece of the vocabulary.
    fn piece(&self) -> usize {
        let vocabulary = self.weights.head.len() / self.hidden();
        let pieces = PIECES * vocabulary.div_ceil(PIECES * TOKENS).max(1);
        vocabulary.div_ceil(pieces).next_multiple_of(16)
    }

    fn losses(&self, x: &[f32], gradients: Option<&mut HeadGradients<'_>>) -> Vec<f64> {
        let (hidden, rows) = (self.hidden(), self.targets.len());
        let HeadWeights { norm, eps, head } = self.weights;
        let (mut taken, mut normed) = (self.buffers.take(rows * hidden), self.buffers.take(rows * hidden));
        for (target, taken) in self.targets.iter().zip(taken.chunks_exact_mut(hidden)) {
            taken.copy_from_slice(&x[target.row * hidden..][..hidden]);
        }
        run(RmsNorm { x: &taken, weight: norm, eps, out: &mut normed });
        let mut logits = self.buffers.take(rows * (head.len() / hidden));
        let (piece, states) = (self.piece(), &normed);
        let pieces = logits.par_chunks_mut(rows * piece).zip(head.par_chunks(piece * hidden)).enumerate();
        let sums: Vec<PieceSums> = pieces
            .with_max_len(1)
            .map(|(index, (logits, head))| {
                let tokens = head.len() / hidden;
                let head = Matrix::new(head, hidden).transposed();
                product(logits, tokens, Store::Set, Matrix::new(states, hidden), head);
                PieceSums::take(logits, index * piece, tokens, self.targets)
            })
            .collect();
        let (losses, rest): (Vec<f64>, Vec<RestGradient>) = self
            .targets
            .iter()
            .enumerate()
            .map(|(row, target)| RestSum::of(&sums, row, target).gradient(target))
            .unzip();
        if let Some(gradients) = gradients {
            self.gradients(&mut logits, &sums, &rest, &taken, &normed, gradients);
        }
        self.buffers.give([taken, normed, logits]);
        losses
    }

    /// Logits become their gradients; then those of head, norm and stream.
    fn gradients(
        &self,
        logits: &mut [f32],
        sums: &[PieceSums],
        rest: &[RestGradient],
        taken: &[f32],
        normed: &[f32],
        gradients: &mut HeadGradients<'_>,
    ) {
        let (hidden, rows, piece) = (self.hidden(), self.targets.len(), self.piece());
        let HeadWeights { norm, eps, head } = self.weights;
        let pieces = logits.par_chunks_mut(rows * piece).zip(sums).with_max_len(1);
        match gradients.d_head.as_deref_mut() {
            None => pieces.for_each(|(logits, sums)| sums.put_gradient(logits, rest)),
            Some(d_head) => {
                pieces.zip(d_head.par_chunks_mut(piece * hidden)).for_each(|((logits, sums), d_head)| {
                    sums.put_gradient(logits, rest);
                    let d_logits = Matrix::new(logits, d_head.len() / hidden).transposed();
                    product(d_head, hidden, Store::Add, d_logits, Matrix::new(normed, hidden));
                });
            }
        }
        let mut d_normed = self.buffers.zeros(rows * hidden);
        let d_logits: &[f32] = logits;
        d_normed.par_chunks_mut(GRADIENT_ROWS * hidden).enumerate().with_max_len(1).for_each(|(block, d_normed)| {
            let count = d_normed.len() / hidden;
            for (d_logits, head) in d_logits.chunks(rows * piece).zip(head.chunks(piece * hidden)) {
                let tokens = head.len() / hidden;
                let d_logits = Matrix::new(&d_logits[block * GRADIENT_ROWS * tokens..][..count * tokens], tokens);
                product(d_normed, hidden, Store::Add, d_logits, Matrix::new(head, hidden));
            }
        });
        let (mut d_taken, mut d_weight) = (self.buffers.zeros(rows * hidden), vec![0.0; hidden]);
        let (d_out, d_x) = (&d_normed, &mut d_taken);
        run(NormaliseBack { x: taken, weight: norm, eps, d_out, d_x, d_weight: &mut d_weight });
        if let Some(d_norm) = gradients.d_norm.as_deref_mut() {
            d_norm.iter_mut().zip(&d_weight).for_each(|(sum, d)| *sum += d);
        }
        for (target, d_taken) in self.targets.iter().zip(d_taken.chunks_exact(hidden)) {
            let d_x = &mut gradients.d_x[target.row * hidden..][..hidden];
            d_x.iter_mut().zip(d_taken).for_each(|(sum, d)| *sum += d);
        }
        self.buffers.give([d_normed, d_taken]);
    }
}
