//! Spherical interpolation of two tensors, taken as one vector each.

/// Sums kept side by side, in which a processor adds several numbers at a time.
const SIDE: usize = 8;

/// Sums that decide the angle: `[a.a, b.b, a.b]`.
pub(super) fn products(a: &[f32], b: &[f32]) -> [f64; 3] {
    let mut sums = [[0.0_f64; SIDE]; 3];
    let (a_blocks, a_rest) = a.as_chunks::<SIDE>();
    let (b_blocks, b_rest) = b.as_chunks::<SIDE>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..SIDE {
            let (a, b) = (f64::from(a[lane]), f64::from(b[lane]));
            sums[0][lane] += a * a;
            sums[1][lane] += b * b;
            sums[2][lane] += a * b;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let rest = rest.fold([0.0; 3], |[aa, bb, ab], (a, b)| [aa + a * a, bb + b * b, ab + a * b]);
    std::array::from_fn(|sum| sums[sum].iter().sum::<f64>() + rest[sum])
}

/// The coefficients of `a` and `b` at `t`, 0 giving `a`; vectors within `0.9995` of parallel are mixed linearly.
///
/// The angle is that of the unit vectors, a vector not longer than `shortest` counting as it is; the vectors that are mixed are
/// not of unit length.
pub(super) fn coefficients([aa, bb, ab]: [f64; 3], t: f32, shortest: f64) -> [f32; 2] {
    let norm = |square: f64| if square.sqrt() <= shortest { 1.0 } else { square.sqrt() };
    let cosine = (ab / (norm(aa) * norm(bb))).clamp(-1.0, 1.0);
    if cosine.abs() > 0.9995 {
        return [1.0 - t, t];
    }
    let (t, angle) = (f64::from(t), cosine.acos());
    [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()].map(|coefficient| coefficient as f32)
}
