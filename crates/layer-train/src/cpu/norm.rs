//! RMSNorm on rows, and its gradient.
//!
//! `y_i = x_i r w_i` with `r = 1 / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019,
//! <https://arxiv.org/abs/1910.07467>). With `g_i = dy_i w_i`: `dx_i = r g_i - x_i r^3 mean(g x)`, `dw_i = sum over
//! rows of dy_i x_i r`.

use pulp::{Simd, WithSimd};

use tailor_simd::{map, sum, sum_of_products, update};

/// Normalises each row of `[rows, width]`.
pub(crate) struct Normalise<'a> {
    /// `[rows, width]`
    pub x: &'a [f32],
    /// `[width]`
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
    /// `[rows, width]`
    pub out: &'a mut [f32],
}

impl WithSimd for Normalise<'_> {
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

/// The gradient of [`Normalise`].
pub(crate) struct NormaliseBack<'a> {
    /// What was normalised, `[rows, width]`.
    pub x: &'a [f32],
    /// `[width]`
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
    /// Gradient of the result, `[rows, width]`.
    pub d_out: &'a [f32],
    /// Gradient of `x`, added to what is there, `[rows, width]`.
    pub d_x: &'a mut [f32],
    /// Gradient of the weight, added to what is there, `[width]`.
    pub d_weight: &'a mut [f32],
}

impl WithSimd for NormaliseBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        let rows = self.x.chunks_exact(width).zip(self.d_out.chunks_exact(width));
        for ((x, d_out), d_x) in rows.zip(self.d_x.chunks_exact_mut(width)) {
            let inverse = inverse_rms(simd, x, self.eps);
            let along = sum_of_products(simd, [d_out, self.weight, x]) / width as f32;
            let (scale, back) = (simd.splat_f32s(inverse), simd.splat_f32s(-inverse.powi(3) * along));
            update(
                simd,
                self.d_weight,
                [d_out, x],
                #[inline(always)]
                |sum, [d, x]| simd.mul_add_e_f32s(d, simd.mul_f32s(x, scale), sum),
            );
            update(
                simd,
                d_x,
                [d_out, self.weight, x],
                #[inline(always)]
                |sum, [d, weight, x]| {
                    let direct = simd.mul_add_e_f32s(simd.mul_f32s(d, weight), scale, sum);
                    simd.mul_add_e_f32s(x, back, direct)
                },
            );
        }
    }
}

/// `1 / sqrt(mean(x^2) + eps)`
#[inline(always)]
fn inverse_rms<S: Simd>(simd: S, x: &[f32], eps: f32) -> f32 {
    let squares = sum(
        simd,
        x,
        #[inline(always)]
        |value| simd.mul_f32s(value, value),
    );
    1.0 / (squares / x.len() as f32 + eps).sqrt()
}
