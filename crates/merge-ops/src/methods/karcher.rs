//! The mean on the sphere, as mergekit's `karcher`.

use layer_ir::{Mergekit, MethodSpec};
use tailor_registry::Parameter;

use super::LARGEST;
use super::multislerp::mix;
use crate::gram::{Gram, Vectors};
use crate::{Error, Inputs, MergeOp, Numbers, Piece};

/// `out = m sum_i |w_i| / N`, where the unit vector m has the least sum of squared angles to the sources' directions.
///
/// It is found by at most `max_iter` (10) steps along the mean of the tangents at m, until one is shorter than `tol`
/// (1e-5): H. Karcher, "Riemannian center of mass and mollifier smoothing" (1977). A base counts as one more source
/// only where it is listed. All of it happens on the inner products of the sources, in f64; mergekit iterates on the
/// tensors in f32.
pub(crate) struct Karcher;

impl MergeOp for Karcher {
    /// The coefficients of the sources; none: the only source itself. Sources are read once, for their inner products.
    type Statistics = Option<Vec<f32>>;

    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] = &[
            Parameter::number("max_iter", 0.0, LARGEST, "The most steps.").with_default_number(10.0),
            Parameter::number("tol", 0.0, LARGEST, "A shorter step ends the search.").with_default_number(1e-5),
        ];
        MethodSpec {
            shared: SHARED,
            mergekit: Some(Mergekit::named("karcher")),
            ..MethodSpec::new("karcher", "The direction of least squared angles to all, at the mean length.")
        }
    }

    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Self::Statistics, Error> {
        if inputs.sources.len() == 1 {
            return Ok(None);
        }
        let steps = inputs.settings.number("max_iter")? as usize;
        let tol = inputs.settings.number("tol")?;
        let gram = Vectors::Whole.gram(inputs, false);
        let found = gram.first().map(|gram| coefficients(gram, inputs.sources.len(), steps, tol)).unwrap_or_default();
        Ok(Some(found.into_iter().map(|coefficient| coefficient as f32).collect()))
    }

    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, statistics: &Self::Statistics) -> Result<N, Error> {
        let Some(coefficients) = statistics else { return piece.first() };
        let sources = std::mem::take(&mut piece.sources);
        mix(&piece, sources, coefficients)
    }
}

/// The coefficients of the sources; all 0 where none is longer than `tol`.
fn coefficients(gram: &Gram, n: usize, steps: usize, tol: f64) -> Vec<f64> {
    let norms: Vec<f64> = (0..n).map(|i| gram.norm(i)).collect();
    let long: Vec<bool> = norms.iter().map(|norm| *norm > tol).collect();
    let Some(first) = long.iter().position(|long| *long) else { return vec![0.0; n] };
    let share = 1.0 / long.iter().filter(|long| **long).count() as f64;
    // A vector of the iteration is a sum of the sources under coefficients; source i's direction has 1/|w_i| at i.
    let mut mean: Vec<f64> = (0..n).map(|i| if long[i] { share / norms[i] } else { 0.0 }).collect();
    if gram.norm_of(&mean) < tol {
        mean = (0..n).map(|i| if i == first { 1.0 / norms[i] } else { 0.0 }).collect();
    } else {
        normalize(gram, &mut mean, 0.0);
    }
    for _ in 0..steps {
        let mut tangent = vec![0.0; n];
        let mut along = 0.0;
        for (i, product) in gram.times(&mean).into_iter().enumerate().filter(|(i, _)| long[*i]) {
            let cosine = (product / norms[i]).clamp(-1.0, 1.0);
            let angle = cosine.acos();
            if angle >= tol {
                let pull = share * angle / angle.sin();
                tangent[i] += pull / norms[i];
                along += pull * cosine;
            }
        }
        tangent.iter_mut().zip(&mean).for_each(|(tangent, mean)| *tangent -= along * mean);
        let step = gram.norm_of(&tangent);
        if step < tol {
            break;
        }
        mean.iter_mut()
            .zip(&tangent)
            .for_each(|(mean, tangent)| *mean = step.cos() * *mean + step.sin() / step * tangent);
        normalize(gram, &mut mean, tol);
    }
    let radius = norms.iter().sum::<f64>() / n as f64;
    mean.iter().map(|coefficient| coefficient * radius).collect()
}

/// Makes a vector that is longer than `tol` one of length 1.
fn normalize(gram: &Gram, vector: &mut [f64], tol: f64) {
    let length = gram.norm_of(vector);
    if length > tol {
        vector.iter_mut().for_each(|coefficient| *coefficient /= length);
    }
}
