//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>, algorithm
//! 2).
//!
//! With gradient g at step t, from 1: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `w -= rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w)`.

use rayon::prelude::*;

use tailor_simd::{Simd, WithSimd, run, sum_of_products, update};

/// Numbers that a thread updates at once: they stay in its first cache.
const PIECE: usize = 1 << 10;
/// Numbers whose squares are summed in f32 before the sum goes on in f64.
const SQUARES: usize = 1 << 14;

/// The settings of AdamW that do not change from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the mean of gradients, b1; below 1.
    pub beta1: f64,
    /// Decay of the mean of their squares, b2; below 1.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Weight decay, of matrices alone.
    pub decay: f64,
}

impl Default for AdamW {
    /// 0.9, 0.95, 1e-8 and no decay: a short training from a good start has nothing to shrink.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.0 }
    }
}

/// One step of an optimiser over some numbers.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The step, from 1.
    pub number: usize,
    /// The learning rate.
    pub rate: f64,
    /// What gradients are multiplied by, to bound their norm.
    pub clip: f64,
}

/// Numbers that are trained, and what goes with each.
pub(crate) struct Numbers<'a> {
    pub values: &'a mut [f32],
    pub gradients: &'a [f32],
    /// m and v.
    pub moments: [&'a mut [f32]; 2],
    /// Whether they are a matrix, which decays.
    pub matrix: bool,
}

impl AdamW {
    /// Updates numbers and their moments.
    pub(crate) fn update(&self, step: Step, numbers: Numbers<'_>) {
        let Numbers { values, gradients, moments: [m, v], matrix } = numbers;
        let factors = self.factors(step, matrix);
        let pieces = values.par_chunks_mut(PIECE).zip(gradients.par_chunks(PIECE));
        let pieces = pieces.zip(m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE)));
        pieces.with_min_len(16).for_each(|((values, gradients), (m, v))| {
            run(UpdatePiece { factors, values, gradients, m, v });
        });
    }

    /// What a step multiplies and adds, of a matrix or a vector.
    pub(crate) fn factors(&self, step: Step, matrix: bool) -> Factors {
        let t = i32::try_from(step.number).unwrap_or(i32::MAX);
        let corrected = |beta: f64| 1.0 - beta.powi(t);
        let root = corrected(self.beta2).sqrt();
        Factors {
            clip: step.clip as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            // m / c1 / (sqrt(v) / root + eps) = (m root / c1) / (sqrt(v) + eps root)
            rate: (-step.rate * root / corrected(self.beta1)) as f32,
            eps: (self.eps * root) as f32,
            keep: if matrix { (1.0 - step.rate * self.decay) as f32 } else { 1.0 },
        }
    }
}

/// The sum of squares of gradients.
pub(crate) fn squared_norm(gradients: &[f32]) -> f64 {
    let parts: Vec<f32> = gradients.par_chunks(SQUARES).map(|piece| run(SumOfSquares(piece))).collect();
    parts.into_iter().map(f64::from).sum()
}

struct SumOfSquares<'a>(&'a [f32]);

impl WithSimd for SumOfSquares<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        sum_of_products(simd, [self.0, self.0])
    }
}

/// What a step multiplies and adds: `m = beta1 m + (1 - beta1) clip g`, `v = beta2 v + (1 - beta2) (clip g)^2`,
/// `w = keep w + rate m / (sqrt(v) + eps)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    pub clip: f32,
    pub beta1: f32,
    pub beta2: f32,
    /// Below 0, with the corrections of both moments.
    pub rate: f32,
    /// With the correction of v.
    pub eps: f32,
    /// 1 without decay.
    pub keep: f32,
}

struct UpdatePiece<'a> {
    factors: Factors,
    values: &'a mut [f32],
    gradients: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl WithSimd for UpdatePiece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { factors: Factors { clip, beta1, beta2, rate, eps, keep }, values, gradients, m, v } = self;
        let (clip1, clip2) = (simd.splat_f32s(clip * (1.0 - beta1)), simd.splat_f32s(clip * clip * (1.0 - beta2)));
        let (beta1, beta2) = (simd.splat_f32s(beta1), simd.splat_f32s(beta2));
        let (rate, eps, keep) = (simd.splat_f32s(rate), simd.splat_f32s(eps), simd.splat_f32s(keep));
        update(
            simd,
            m,
            [gradients],
            #[inline(always)]
            |m, [g]| simd.mul_add_e_f32s(m, beta1, simd.mul_f32s(g, clip1)),
        );
        update(
            simd,
            v,
            [gradients],
            #[inline(always)]
            |v, [g]| simd.mul_add_e_f32s(v, beta2, simd.mul_f32s(simd.mul_f32s(g, g), clip2)),
        );
        update(
            simd,
            values,
            [m, v],
            #[inline(always)]
            |w, [m, v]| {
                let step = simd.div_f32s(m, simd.add_f32s(simd.sqrt_f32s(v), eps));
                simd.mul_add_e_f32s(step, rate, simd.mul_f32s(w, keep))
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps of one matrix's four numbers, by the formulas in f64.
    #[test]
    fn steps_are_those_of_the_paper() {
        let adam = AdamW { decay: 0.1, ..AdamW::default() };
        let gradients = [[0.5_f32, -1.0, 0.0, 2.0], [0.25, 1.0, 0.0, 2.0], [-0.5, 3.0, 1e-3, 2.0]];
        let mut values = [1.0_f32, -2.0, 0.5, 0.0];
        let (mut m, mut v) = ([0.0_f32; 4], [0.0_f32; 4]);
        let (mut w, mut em, mut ev) = (values.map(f64::from), [0.0_f64; 4], [0.0_f64; 4]);
        for (number, gradients) in (1..).zip(&gradients) {
            let step = Step { number, rate: 0.01, clip: 0.5 };
            adam.update(step, Numbers { values: &mut values, gradients, moments: [&mut m, &mut v], matrix: true });
            let corrected = |beta: f64| 1.0 - beta.powi(number as i32);
            for i in 0..4 {
                let g = 0.5 * f64::from(gradients[i]);
                em[i] = 0.9 * em[i] + 0.1 * g;
                ev[i] = 0.95 * ev[i] + 0.05 * g * g;
                let direction = em[i] / corrected(0.9) / ((ev[i] / corrected(0.95)).sqrt() + 1e-8);
                w[i] -= 0.01 * (direction + 0.1 * w[i]);
            }
        }
        for (found, expected) in values.iter().zip(w) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!((squared_norm(&gradients[0]) - 5.25).abs() < 1e-12);
    }
}
