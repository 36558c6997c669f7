//! `RMSNorm` on rows (Zhang and Sennrich 2019, <https://arxiv.org/abs/1910.07467>).

use pulp::{Simd, WithSimd};

use crate::{map, sum};

/// `x / sqrt(mean(x^2) + eps) * weight`, each row by itself.
pub struct RmsNorm<'a> {
    /// `[rows, width]`
    pub x: &'a [f32],
    /// `[width]`
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
    /// `[rows, width]`
    pub out: &'a mut [f32],
}

impl WithSimd for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(width).zip(self.x.chunks_exact(width)) {
            let scale = simd.splat_f32s(inverse_rms(simd, x, self.eps));
            map(
                simd,
                out,
                [x, self.weight],
                #[inline(always)]
                |[x, weight]| simd.mul_f32s(simd.mul_f32s(x, scale), weight),
            );
        }
    }
}

/// `1 / sqrt(mean(x^2) + eps)`
#[inline(always)]
pub fn inverse_rms<S: Simd>(simd: S, x: &[f32], eps: f32) -> f32 {
    let squares = sum(
        simd,
        x,
        #[inline(always)]
        |value| simd.mul_f32s(value, value),
    );
    1.0 / (squares / x.len() as f32 + eps).sqrt()
}
