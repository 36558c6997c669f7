//! The sums over a row of logits, piece by piece of the vocabulary, and the gradient of the row.

use super::Target;
use tailor_simd::{Simd, WithSimd, exp, exp_sum, run, update};

/// What a piece of the vocabulary adds to the sums of each row of a block.
pub(super) struct PieceSums {
    /// Tokens of the piece.
    tokens: usize,
    /// For each row the largest logit of the tokens that its target does not name, and the sum of the exponentials of
    /// their differences from it.
    rest: Vec<(f32, f32)>,
    /// Logits of the tokens that targets name: row, place in the target, place in the piece, logit.
    named: Vec<(usize, usize, usize, f32)>,
}

impl PieceSums {
    /// Takes the named tokens' logits out of a piece `[rows, tokens]`, which begins at token `first`, and sums the
    /// others.
    pub fn take(logits: &mut [f32], first: usize, tokens: usize, targets: &[Target<'_>]) -> Self {
        let mut named = Vec::new();
        for ((row, target), logits) in targets.iter().enumerate().zip(logits.chunks_exact_mut(tokens)) {
            let start = target.tokens.partition_point(|token| (*token as usize) < first);
            let within = target.tokens[start..].iter().take_while(|token| (**token as usize) < first + tokens);
            for (place, token) in within.enumerate() {
                let logit = &mut logits[*token as usize - first];
                named.push((row, start + place, *token as usize - first, *logit));
                *logit = f32::NEG_INFINITY;
            }
        }
        let mut rest = Vec::with_capacity(targets.len());
        run(SumRest { logits, tokens, into: &mut rest });
        Self { tokens, rest, named }
    }

    /// Logits of the piece become their gradients.
    pub fn put_gradient(&self, logits: &mut [f32], rows: &[RestGradient]) {
        run(PutRest { logits, tokens: self.tokens, rows });
        for &(row, place, token, _) in &self.named {
            logits[row * self.tokens + token] = rows[row].named[place];
        }
    }
}

/// The sums of a row over the whole vocabulary.
pub(super) struct RestSum {
    /// ln of the sum of exp(logit) over the tokens that are not named; minus infinity for none.
    ln_rest: f64,
    /// ln of the sum over all tokens.
    ln_all: f64,
    /// The named tokens' logits.
    named: Vec<f32>,
}

/// What makes the gradient of a row of logits.
#[derive(Debug, Clone)]
pub(super) struct RestGradient {
    /// The gradient of a token that is not named is `factor * exp(logit - ln_rest)`.
    factor: f32,
    /// ln of the sum over the tokens that are not named.
    ln_rest: f32,
    /// The gradients of those that are.
    named: Vec<f32>,
}

impl RestSum {
    /// Adds up the pieces, in their order.
    pub fn of(pieces: &[PieceSums], row: usize, target: &Target<'_>) -> Self {
        let mut named = vec![f32::NEG_INFINITY; target.tokens.len()];
        for piece in pieces {
            let start = piece.named.partition_point(|(of, ..)| *of < row);
            for &(_, place, _, logit) in piece.named[start..].iter().take_while(|(of, ..)| *of == row) {
                named[place] = logit;
            }
        }
        let rest = || pieces.iter().map(|piece| piece.rest[row]);
        let highest = rest().map(|(highest, _)| highest).fold(f32::NEG_INFINITY, f32::max);
        let scaled = |(of, sum): (f32, f32)| f64::from(sum) * f64::from(of - highest).exp();
        let ln_rest = if highest == f32::NEG_INFINITY {
            f64::NEG_INFINITY
        } else {
            f64::from(highest) + rest().filter(|(of, _)| *of > f32::NEG_INFINITY).map(scaled).sum::<f64>().ln()
        };
        let top = named.iter().fold(ln_rest, |top, logit| top.max(f64::from(*logit)));
        let all = named.iter().map(|logit| (f64::from(*logit) - top).exp()).sum::<f64>() + (ln_rest - top).exp();
        Self { ln_rest, ln_all: top + all.ln(), named }
    }

    /// The loss of the row times its weight, and what makes its gradient.
    pub fn gradient(&self, target: &Target<'_>) -> (f64, RestGradient) {
        let weight = f64::from(target.weight);
        let mut loss = 0.0;
        let mut named = Vec::with_capacity(self.named.len());
        for (logit, ln_p) in self.named.iter().zip(target.ln_p) {
            let (ln_p, ln_q) = (f64::from(*ln_p), f64::from(*logit) - self.ln_all);
            loss += ln_p.exp() * (ln_p - ln_q);
            named.push((weight * (ln_q.exp() - ln_p.exp())) as f32);
        }
        let (ln_p, ln_q) = (f64::from(target.ln_rest), self.ln_rest - self.ln_all);
        if ln_p > f64::NEG_INFINITY {
            loss += ln_p.exp() * (ln_p - ln_q);
        }
        let factor = (weight * (ln_q.exp() - ln_p.exp())) as f32;
        (weight * loss, RestGradient { factor, ln_rest: self.ln_rest as f32, named })
    }
}

/// Largest logit and sum of exponentials of each row.
struct SumRest<'a> {
    logits: &'a [f32],
    tokens: usize,
    into: &'a mut Vec<(f32, f32)>,
}

impl WithSimd for SumRest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for logits in self.logits.chunks_exact(self.tokens) {
            self.into.push(exp_sum(simd, logits));
        }
    }
}

/// Rows of logits become gradients, but for the named tokens.
struct PutRest<'a> {
    logits: &'a mut [f32],
    tokens: usize,
    rows: &'a [RestGradient],
}

impl WithSimd for PutRest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (logits, row) in self.logits.chunks_exact_mut(self.tokens).zip(self.rows) {
            let (factor, ln_rest) = (simd.splat_f32s(row.factor), simd.splat_f32s(row.ln_rest));
            update(
                simd,
                logits,
                [],
                #[inline(always)]
                |logit, []| simd.mul_f32s(factor, exp(simd, simd.sub_f32s(logit, ln_rest))),
            );
        }
    }
}
