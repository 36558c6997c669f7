//! The gated MLP's inner activations, `silu(gate) * up`, and their gradient (Shazeer 2020, SwiGLU,
//! <https://arxiv.org/abs/2002.05202>).
//!
//! With `s = 1 / (1 + e^-gate)`: `inner = gate s up`, `d_up = d gate s`, `d_gate = d up s (1 + gate (1 - s))`.

use tailor_simd::{Simd, WithSimd, exp, map, update};

/// `inner = silu(gate) * up`, all of one length.
pub(crate) struct Gate<'a> {
    pub gate: &'a [f32],
    pub up: &'a [f32],
    pub inner: &'a mut [f32],
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        map(
            simd,
            self.inner,
            [self.gate, self.up],
            #[inline(always)]
            |[gate, up]| simd.mul_f32s(simd.mul_f32s(gate, sigmoid(simd, gate)), up),
        );
    }
}

/// The gradient of [`Gate`]: `gate` and `up` are replaced by their gradients, `inner`'s gradient by `inner` itself,
/// which the gradient of the projection down needs.
pub(crate) struct GateBack<'a> {
    /// The gate; then its gradient.
    pub gate: &'a mut [f32],
    /// The projection up; then its gradient.
    pub up: &'a mut [f32],
    /// The gradient of the inner activations; then these.
    pub inner: &'a mut [f32],
}

impl WithSimd for GateBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const PIECE: usize = 64;
        let pieces = self.gate.chunks_mut(PIECE).zip(self.up.chunks_mut(PIECE)).zip(self.inner.chunks_mut(PIECE));
        let (mut sigmoids, mut gates, mut ups) = ([0.0; PIECE], [0.0; PIECE], [0.0; PIECE]);
        let one = simd.splat_f32s(1.0);
        for ((gate, up), inner) in pieces {
            let (sigmoids, gates) = (&mut sigmoids[..gate.len()], &mut gates[..gate.len()]);
            let ups = &mut ups[..gate.len()];
            gates.copy_from_slice(gate);
            ups.copy_from_slice(up);
            map(
                simd,
                sigmoids,
                [gates],
                #[inline(always)]
                |[gate]| sigmoid(simd, gate),
            );
            update(
                simd,
                gate,
                [inner, ups, sigmoids],
                #[inline(always)]
                |gate, [d, up, s]| {
                    let slope = simd.mul_add_e_f32s(gate, simd.sub_f32s(one, s), one);
                    simd.mul_f32s(simd.mul_f32s(d, up), simd.mul_f32s(s, slope))
                },
            );
            map(
                simd,
                up,
                [inner, gates, sigmoids],
                #[inline(always)]
                |[d, gate, s]| simd.mul_f32s(d, simd.mul_f32s(gate, s)),
            );
            map(
                simd,
                inner,
                [gates, ups, sigmoids],
                #[inline(always)]
                |[gate, up, s]| simd.mul_f32s(simd.mul_f32s(gate, s), up),
            );
        }
    }
}

/// `1 / (1 + e^-x)`
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}
