//! Plain loops, compiled for the widest vectors of the processor at hand.

/// Numbers that are worked on side by side: one AVX-512 register, two of AVX2, four of SSE or NEON.
pub(super) const LANES: usize = 16;
/// Accumulators side by side, as the compiler must not reorder a float sum itself.
pub(super) type Lanes = [f32; LANES];

/// A loop over slices. `run` and all that it calls must be `#[inline(always)]`, or it is compiled for the oldest processor.
pub(super) trait Kernel {
    /// What it computes.
    type Output;

    /// `FUSED`: the processor multiplies and adds in one step; without it, `mul_add` would be a function call.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs a kernel with AVX-512 or AVX2 where the processor has it.
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(v4) = pulp::x86::V4::try_new() {
            return v4.vectorize(Fused(kernel));
        }
        if let Some(v3) = pulp::x86::V3::try_new() {
            return v3.vectorize(Fused(kernel));
        }
    }
    kernel.run::<{ cfg!(target_arch = "aarch64") }>()
}

#[cfg(target_arch = "x86_64")]
struct Fused<K>(K);

#[cfg(target_arch = "x86_64")]
impl<K: Kernel> pulp::NullaryFnOnce for Fused<K> {
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.0.run::<true>()
    }
}

/// `a b + c`.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// e^x without a branch, so that it vectorises: relative error below 1e-7 on [-87, 88], and the values of the ends beyond.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by Cephes' polynomial, 2^n by its bits.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it drops the fraction, and leaves n in the lowest bits
    let x = x.clamp(-87.3, 88.0);
    let rounded = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = fma::<FUSED>(n, 2.121_944_4e-4, fma::<FUSED>(n, -0.693_359_4, x));
    let mut p = fma::<FUSED>(1.987_569_1e-4, r, 1.398_199_9e-3);
    for coefficient in [8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = fma::<FUSED>(p, r, coefficient);
    }
    let p = fma::<FUSED>(p * r, r, r) + 1.0;
    p * f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// `out[i] = of([a[i], ..])`, whole registers at a time: the compiler's own loop leaves short slices to single numbers.
#[inline(always)]
pub(super) fn map<const N: usize>(out: &mut [f32], from: [&[f32]; N], of: impl Fn([f32; N]) -> f32) {
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    let whole = blocks.len();
    for (index, out) in blocks.iter_mut().enumerate() {
        let mut values = [&[0.0; LANES]; N];
        for (values, from) in values.iter_mut().zip(&from) {
            if let Some(chunk) = from[index * LANES..].first_chunk() {
                *values = chunk;
            }
        }
        for (lane, out) in out.iter_mut().enumerate() {
            let mut at = [0.0; N];
            for (at, values) in at.iter_mut().zip(&values) {
                *at = values[lane];
            }
            *out = of(at);
        }
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let mut at = [0.0; N];
        for (at, from) in at.iter_mut().zip(&from) {
            *at = from[whole * LANES + i];
        }
        *out = of(at);
    }
}

/// The sum of `term` over a slice.
#[inline(always)]
pub(super) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums: Lanes = [0.0; LANES];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += term(*value);
        }
    }
    total(sums) + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// Halves are added, so that it takes four steps and not sixteen.
#[inline(always)]
fn total(mut sums: Lanes) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The largest value of a slice; minus infinity of an empty one.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut highest: Lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (high, value) in highest.iter_mut().zip(block) {
            *high = larger(*high, *value);
        }
    }
    highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp<'a>(&'a [f32]);

    impl Kernel for Exp<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<const FUSED: bool>(self) -> Vec<f32> {
            self.0.iter().map(|x| exp::<FUSED>(*x)).collect()
        }
    }

    #[test]
    fn exp_is_right_to_the_last_bits() {
        let xs: Vec<f32> = (-8730..8800).map(|x| x as f32 / 100.0 + 0.003).collect();
        for (found, name) in [(run(Exp(&xs)), "vectors"), (Exp(&xs).run::<false>(), "plain")] {
            for (x, found) in xs.iter().zip(found) {
                let expected = f64::from(*x).exp();
                let error = (f64::from(found) - expected).abs() / expected;
                assert!(error < 2e-7, "{name}: exp({x}) is {found}, off by {error:e}");
            }
        }
        assert!(exp::<false>(f32::NEG_INFINITY) < 1e-37);
    }
}
