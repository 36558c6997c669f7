//! The rotary embedding of a head (Su et al. 2021, <https://arxiv.org/abs/2104.09864>), as Hugging Face lays it out.

use pulp::Simd;

use crate::map;

/// Which way a head is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// By the angles of its position.
    Forward,
    /// Against them: the gradient of [`Turn::Forward`].
    Back,
}

/// `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of a head `[dim]`, with the cosines and sines of its
/// position, `[dim / 2]` each; [`Turn::Back`] has the other sign of the sines.
#[inline(always)]
pub fn rotate<S: Simd>(simd: S, turn: Turn, head: &[f32], to: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    let ((a, b), (first, second)) = (head.split_at(half), to.split_at_mut(half));
    // Turned back, the halves change their parts.
    let ((a, b), (first, second)) = match turn {
        Turn::Forward => ((a, b), (first, second)),
        Turn::Back => ((b, a), (second, first)),
    };
    map(
        simd,
        first,
        [a, b, cos, sin],
        #[inline(always)]
        |[a, b, cos, sin]| simd.mul_add_e_f32s(a, cos, simd.mul_f32s(simd.neg_f32s(b), sin)),
    );
    map(
        simd,
        second,
        [a, b, cos, sin],
        #[inline(always)]
        |[a, b, cos, sin]| simd.mul_add_e_f32s(b, cos, simd.mul_f32s(a, sin)),
    );
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::run;

    struct Turned<'a>(Turn, &'a [f32], &'a [f32], &'a [f32]);

    impl WithSimd for Turned<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut to = vec![0.0; self.1.len()];
            rotate(simd, self.0, self.1, &mut to, self.2, self.3);
            to
        }
    }

    #[test]
    fn a_head_is_turned_and_turned_back() {
        let head: Vec<f32> = (0..20).map(|i| (i as f32 * 1.7).sin()).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..10).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let turned = run(Turned(Turn::Forward, &head, &cos, &sin));
        for i in 0..10 {
            let (a, b) = (head[i], head[i + 10]);
            assert!((turned[i] - (a * cos[i] - b * sin[i])).abs() < 1e-6, "{i}");
            assert!((turned[i + 10] - (b * cos[i] + a * sin[i])).abs() < 1e-6, "{i}");
        }
        let back = run(Turned(Turn::Back, &turned, &cos, &sin));
        assert!(back.iter().zip(&head).all(|(back, head)| (back - head).abs() < 1e-6));
    }
}
