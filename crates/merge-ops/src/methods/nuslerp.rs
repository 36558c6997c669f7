//! Spherical interpolation of two sources by their weights, as mergekit's `nuslerp`.

use layer_ir::{BaseRule, Mergekit, MethodSpec};
use tailor_registry::Parameter;

use super::WEIGHT;
use crate::gram::{Gram, Vectors};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = ( sin((1-t) th) a + sin(t th) b ) / sin th` with `t = c_b / (c_a + c_b)` of the `weight`s c, 0.5 where they
/// sum to 0; a and b are the two sources, or their differences to the base if there is one, to which the result is
/// added then.
///
/// The angle th is that of whole tensors; with `nuslerp_flatten: false` of their vectors along the last axis, each with
/// its own, and with `nuslerp_row_wise: true` besides along the first. Parallel vectors are mixed linearly.
pub(crate) struct Nuslerp;

pub(crate) struct Statistics {
    /// What shares an angle.
    vectors: Vectors,
    /// The coefficient of a, for each vector.
    of_a: Vec<f32>,
    /// The coefficient of b.
    of_b: Vec<f32>,
    /// What their sum is divided by.
    divisor: Vec<f32>,
}

const SHARED: &[Parameter] = &[
    Parameter::flag("nuslerp_flatten", true, "Whether whole tensors are one vector."),
    Parameter::flag(
        "nuslerp_row_wise",
        false,
        "Without flattening, whether vectors lie along the first axis instead of the last.",
    ),
];
const PER_SOURCE: &[Parameter] = &[WEIGHT];

impl MergeOp for Nuslerp {
    type Statistics = Statistics;

    fn spec(&self) -> MethodSpec {
        MethodSpec {
            base: BaseRule::Optional,
            sources: (2, 2),
            shared: SHARED,
            per_source: PER_SOURCE,
            mergekit: Some(Mergekit::named("nuslerp")),
            ..MethodSpec::new(
                "nuslerp",
                "Between two sources or their differences to a base, along the sphere; of whole tensors, rows or \
                 columns.",
            )
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Statistics, Error> {
        let settings = &inputs.settings;
        let vectors = match (settings.flag("nuslerp_flatten")?, settings.flag("nuslerp_row_wise")?) {
            (false, true) => Vectors::columns(inputs),
            (false, false) => Vectors::rows(inputs),
            _ => Vectors::Whole,
        };
        let weights = settings.each("weight")?;
        let total: f64 = weights.iter().sum();
        let t = if total.abs() < 1e-6 { 0.5 } else { weights[1] / total };
        let grams = vectors.gram(inputs, inputs.base.is_some());
        let all: Vec<[f32; 3]> = grams.iter().map(|gram| coefficients(gram, t)).collect();
        let column = |at: usize| all.iter().map(|three| three[at]).collect();
        Ok(Statistics { vectors, of_a: column(0), of_b: column(1), divisor: column(2) })
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Statistics) -> Result<N, Error> {
        let base = piece.base.clone();
        let mut two = match base {
            Some(_) => piece.differences()?.1,
            None => std::mem::take(&mut piece.sources),
        };
        let (Some(b), Some(a)) = (two.pop(), two.pop()) else { return Err(piece.settings.source_count().into()) };
        let scalars = (statistics.of_a.first(), statistics.of_b.first(), statistics.divisor.first());
        let mixed = if let (Vectors::Whole, (Some(of_a), Some(of_b), Some(divisor))) = (statistics.vectors, scalars) {
            piece.weighted_sum([(a, *of_a), (b, *of_b)])?.div_scalar(*divisor)
        } else {
            let spread = |of: &[f32]| statistics.vectors.spread(&a, piece.start, of);
            let (of_a, of_b, divisor) =
                (spread(&statistics.of_a), spread(&statistics.of_b), spread(&statistics.divisor));
            let sum = piece.round(piece.round(a.mul(&of_a)).add(&piece.round(b.mul(&of_b))));
            sum.div(&divisor)
        };
        let mixed = piece.round(mixed);
        Ok(match base {
            Some(base) => piece.round(base.add(&mixed)),
            None => mixed,
        })
    }
}

/// The coefficients of a and of b, and what their sum is divided by. A vector shorter than 1e-7 counts as that long.
fn coefficients(gram: &Gram, t: f64) -> [f32; 3] {
    let norm = |i| gram.norm(i).max(1e-7);
    let cosine = (gram.get(0, 1) / (norm(0) * norm(1))).clamp(-1.0, 1.0);
    // mergekit's test for parallel vectors, which is one in f32.
    if (cosine as f32) * (cosine as f32) == 1.0 {
        return [1.0 - t as f32, t as f32, 1.0];
    }
    let angle = cosine.acos();
    [((1.0 - t) * angle).sin(), (t * angle).sin(), angle.sin()].map(|number| number as f32)
}
