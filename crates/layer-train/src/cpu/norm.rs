//! The gradient of RMSNorm on rows.
//!
//! `y_i = x_i r w_i` with `r = 1 / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019,
//! <https://arxiv.org/abs/1910.07467>). With `g_i = dy_i w_i`: `dx_i = r g_i - x_i r^3 mean(g x)`, `dw_i = sum over
//! rows of dy_i x_i r`.

use tailor_simd::{Simd, WithSimd, inverse_rms, sum_of_products, update};

/// The gradient of [`RmsNorm`](tailor_simd::RmsNorm).
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
