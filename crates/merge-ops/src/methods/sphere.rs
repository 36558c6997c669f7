//! Spherical interpolation of two tensors, taken as one vector each.

/// Sums that decide the angle: `[a.a, b.b, a.b]`.
pub(super) fn products(a: &[f32], b: &[f32]) -> [f64; 3] {
    a.iter().zip(b).fold([0.0; 3], |[aa, bb, ab], (a, b)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        [aa + a * a, bb + b * b, ab + a * b]
    })
}

/// The coefficients of `a` and `b` at `t`, 0 giving `a`; vectors within `0.9995` of parallel are mixed linearly.
///
/// The angle is that of the unit vectors, a vector not longer than `shortest` counting as it is; the vectors that are mixed are
/// not of unit length.
pub(super) fn coefficients([aa, bb, ab]: [f64; 3], t: f32, shortest: f64) -> [f64; 2] {
    let norm = |square: f64| if square.sqrt() <= shortest { 1.0 } else { square.sqrt() };
    let cosine = (ab / (norm(aa) * norm(bb))).clamp(-1.0, 1.0);
    let t = f64::from(t);
    if cosine.abs() > 0.9995 {
        return [f64::from(1.0 - t as f32), t];
    }
    let angle = cosine.acos();
    [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()]
}
