//! Spherical interpolation of two tensors, taken as one vector each: what [`slerp`](super::slerp) and
//! [`gptailor_slerp`](super::gptailor_slerp) share.

use tailor_registry::Parameter;

use super::LARGEST;
use crate::gram::dot;

/// Where on the way the result lies.
pub(super) const SHARED: &[Parameter] =
    &[Parameter::number("t", -LARGEST, LARGEST, "Place on the way, 0 the beginning and 1 the end.")];

/// Sums that decide the angle: `[a.a, b.b, a.b]`.
pub(super) fn products(a: &[f32], b: &[f32]) -> [f64; 3] {
    [dot(a, a), dot(b, b), dot(a, b)]
}

/// The coefficients of `a` and `b` at `t`, 0 giving `a`; vectors within `0.9995` of parallel are mixed linearly.
///
/// The angle is that of the unit vectors, a vector not longer than `shortest` counting as it is; the vectors that are
/// mixed are not of unit length.
pub(super) fn coefficients([aa, bb, ab]: [f64; 3], t: f32, shortest: f64) -> [f32; 2] {
    let norm = |square: f64| if square.sqrt() <= shortest { 1.0 } else { square.sqrt() };
    let cosine = (ab / (norm(aa) * norm(bb))).clamp(-1.0, 1.0);
    if cosine.abs() > 0.9995 {
        return [1.0 - t, t];
    }
    let (t, angle) = (f64::from(t), cosine.acos());
    [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()].map(|coefficient| coefficient as f32)
}
