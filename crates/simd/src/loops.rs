//! The loops: maps, sums and the exponential, for registers of any width.
//!
//! All loops are written in pulp's types: the speed of a plain loop, as the compiler makes it, changes by up to five
//! times with the code around it. A kernel is a type with [`WithSimd`]; [`run`] compiles it once for each kind of
//! registers and calls the one of this processor.

use pulp::Simd;

/// e^x: relative error below 1e-7 on [-87, 88], and the values of the ends beyond.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by Cephes' polynomial, 2^n by its bits.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it drops the fraction, and leaves n in the lowest bits
    let x = simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(-87.3)), simd.splat_f32s(88.0));
    let rounded = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(rounded, simd.splat_f32s(ROUND));
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(2.121_944_4e-4), r);
    let mut p = simd.splat_f32s(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(coefficient));
    }
    let p = simd.add_f32s(simd.mul_add_e_f32s(simd.mul_f32s(p, r), r, r), simd.splat_f32s(1.0));
    let n = simd.sub_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(ROUND.to_bits() - 127));
    simd.mul_f32s(p, simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(n, simd.splat_u32s(23))))
}

/// `out[i] = of(out[i], [a[i], ..])`; each of `from` is as long as `out`.
#[inline(always)]
pub fn update<S: Simd, const N: usize>(
    simd: S,
    out: &mut [f32],
    from: [&[f32]; N],
    of: impl Fn(S::f32s, [S::f32s; N]) -> S::f32s,
) {
    let (registers, rest) = S::as_mut_simd_f32s(out);
    let (count, whole) = (registers.len(), registers.len() * S::F32_LANES);
    // Of one length, which is then checked once and not for each register.
    let mut others: [&[S::f32s]; N] = [&[]; N];
    for (others, from) in others.iter_mut().zip(&from) {
        *others = &S::as_simd_f32s(from).0[..count];
    }
    for (index, out) in registers.iter_mut().enumerate() {
        let mut values = [simd.splat_f32s(0.0); N];
        for (value, others) in values.iter_mut().zip(&others) {
            *value = others[index];
        }
        *out = of(*out, values);
    }
    if !rest.is_empty() {
        let mut values = [simd.splat_f32s(0.0); N];
        for (value, from) in values.iter_mut().zip(&from) {
            *value = simd.partial_load_f32s(&from[whole..whole + rest.len()]);
        }
        let updated = of(simd.partial_load_f32s(rest), values);
        simd.partial_store_f32s(rest, updated);
    }
}

/// `out[i] = of([a[i], ..])`; each of `from` is as long as `out`.
#[inline(always)]
pub fn map<S: Simd, const N: usize>(simd: S, out: &mut [f32], from: [&[f32]; N], of: impl Fn([S::f32s; N]) -> S::f32s) {
    update(
        simd,
        out,
        from,
        #[inline(always)]
        |_, values| of(values),
    );
}

/// Numbers of the widest register.
const WIDEST: usize = 16;

/// Sums side by side, as many numbers as the widest register has: registers of any width lose the same to rounding.
struct Sums<S: Simd>([S::f32s; WIDEST]);

impl<S: Simd> Sums<S> {
    /// How many registers are used.
    const COUNT: usize = WIDEST / S::F32_LANES;

    /// The sums of so many registers.
    #[inline(always)]
    fn of(simd: S, registers: usize, register: impl Fn(usize) -> S::f32s) -> Self {
        let mut sums = Self([simd.splat_f32s(0.0); WIDEST]);
        let whole = registers / Self::COUNT * Self::COUNT;
        for start in (0..whole).step_by(Self::COUNT) {
            for (place, sum) in sums.0.iter_mut().enumerate().take(Self::COUNT) {
                *sum = simd.add_f32s(*sum, register(start + place));
            }
        }
        for index in whole..registers {
            sums.add(simd, register(index));
        }
        sums
    }

    /// Adds a register to the first sum.
    #[inline(always)]
    fn add(&mut self, simd: S, register: S::f32s) {
        self.0[0] = simd.add_f32s(self.0[0], register);
    }

    #[inline(always)]
    fn total(self, simd: S) -> f32 {
        let mut sums = self.0;
        let mut count = Self::COUNT;
        while count > 1 {
            count /= 2;
            for place in 0..count {
                sums[place] = simd.add_f32s(sums[place], sums[place + count]);
            }
        }
        simd.reduce_sum_f32s(sums[0])
    }
}

/// The sum of `term` over a slice.
#[inline(always)]
pub fn sum<S: Simd>(simd: S, values: &[f32], term: impl Fn(S::f32s) -> S::f32s) -> f32 {
    let zero = simd.splat_f32s(0.0);
    let (registers, rest) = S::as_simd_f32s(values);
    let mut sums = Sums::of(
        simd,
        registers.len(),
        #[inline(always)]
        |index| term(registers[index]),
    );
    if !rest.is_empty() {
        let last = term(simd.partial_load_f32s(rest));
        sums.add(simd, simd.select_f32s(first(simd, rest.len()), last, zero));
    }
    sums.total(simd)
}

/// The sum of the products of `N` slices of one length.
#[inline(always)]
pub fn sum_of_products<S: Simd, const N: usize>(simd: S, factors: [&[f32]; N]) -> f32 {
    let product = |values: [S::f32s; N]| {
        let mut product = values[0];
        for value in &values[1..] {
            product = simd.mul_f32s(product, *value);
        }
        product
    };
    let registers = factors.map(|factor| S::as_simd_f32s(factor));
    let mut sums = Sums::of(
        simd,
        registers[0].0.len(),
        #[inline(always)]
        |index| product(registers.map(|(whole, _)| whole[index])),
    );
    if !registers[0].1.is_empty() {
        // A partial load is zero beyond its end.
        let last = registers.map(|(_, rest)| simd.partial_load_f32s(rest));
        let lanes = first(simd, registers[0].1.len());
        sums.add(simd, simd.select_f32s(lanes, product(last), simd.splat_f32s(0.0)));
    }
    sums.total(simd)
}

/// The largest value of a slice; minus infinity of an empty one.
#[inline(always)]
pub fn max<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let lowest = simd.splat_f32s(f32::NEG_INFINITY);
    let (registers, rest) = S::as_simd_f32s(values);
    let mut highest = lowest;
    for values in registers {
        highest = simd.max_f32s(highest, *values);
    }
    if !rest.is_empty() {
        let last = simd.select_f32s(first(simd, rest.len()), simd.partial_load_f32s(rest), lowest);
        highest = simd.max_f32s(highest, last);
    }
    simd.reduce_max_f32s(highest)
}

/// The largest value of a slice, and the sum of `e^(value - largest)`: the parts of a log-sum-exp.
#[inline(always)]
pub fn exp_sum<S: Simd>(simd: S, values: &[f32]) -> (f32, f32) {
    let largest = max(simd, values);
    let top = simd.splat_f32s(largest);
    let all = sum(
        simd,
        values,
        #[inline(always)]
        |value| exp(simd, simd.sub_f32s(value, top)),
    );
    (largest, all)
}

/// The first so many lanes.
#[inline(always)]
fn first<S: Simd>(simd: S, lanes: usize) -> S::m32s {
    simd.mask_between_m32s(0, lanes as u32).mask()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::WithSimd;

    use super::*;
    use crate::run;

    struct Exp<'a>(&'a [f32]);

    impl WithSimd for Exp<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            map(
                simd,
                &mut out,
                [self.0],
                #[inline(always)]
                |[x]| exp(simd, x),
            );
            out
        }
    }

    #[test]
    fn exp_is_right_to_the_last_bits() {
        let xs: Vec<f32> = (-8730..8800).map(|x| x as f32 / 100.0 + 0.003).collect();
        for (found, name) in [(run(Exp(&xs)), "vectors"), (Exp(&xs).with_simd(pulp::Scalar), "plain")] {
            for (x, found) in xs.iter().zip(found) {
                let expected = f64::from(*x).exp();
                let error = (f64::from(found) - expected).abs() / expected;
                assert!(error < 2e-7, "{name}: exp({x}) is {found}, off by {error:e}");
            }
        }
        assert!(Exp(&[f32::NEG_INFINITY]).with_simd(pulp::Scalar)[0] < 1e-37);
    }

    /// Sum of squares, largest, and `a + b * c` in place.
    struct All<'a>(&'a mut [f32], [&'a [f32]; 2]);

    impl WithSimd for All<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
            update(simd, self.0, self.1, |a, [b, c]| simd.add_f32s(a, simd.mul_f32s(b, c)));
            (sum(simd, self.1[0], |value| simd.add_f32s(value, simd.splat_f32s(1.0))), max(simd, self.1[0]))
        }
    }

    proptest! {
        /// Slices of any length, whole registers or not. Small integers, so that no sum is rounded.
        #[test]
        fn loops_are_those_of_single_numbers(numbers in prop::collection::vec((-9_i8..9, -9_i8..9, -9_i8..9), 0..70)) {
            let column = |of: fn(&(i8, i8, i8)) -> i8| numbers.iter().map(|row| f32::from(of(row))).collect::<Vec<_>>();
            let (mut a, b, c) = (column(|row| row.0), column(|row| row.1), column(|row| row.2));
            let expected: Vec<f32> = a.iter().zip(b.iter().zip(&c)).map(|(a, (b, c))| a + b * c).collect();
            let (sum, max) = run(All(&mut a, [&b, &c]));
            prop_assert_eq!(a, expected);
            prop_assert_eq!(sum, b.iter().map(|value| value + 1.0).sum::<f32>());
            prop_assert_eq!(max, b.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
