//! The residual stream of calibration tokens, which block influence and angular distance read.

use layer_runtime::RecipeModel;

use crate::Error;
use crate::bridges::{Sink, StreamLengths};

/// The residual stream of calibration tokens: before layer 0, and after each layer.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    /// One matrix `[tokens, width]` for each of the `layers + 1` places, not normalised.
    pub states: Vec<Vec<f32>>,
    /// The hidden size.
    pub width: usize,
    /// The row of each sequence's last token; the sequences' tokens stand one behind the other.
    pub last_tokens: Vec<usize>,
}

impl HiddenStates {
    /// The residual stream of a model on some sequences of token ids, from one walk.
    ///
    /// # Errors
    /// [`Error::Runtime`] when the model cannot be run.
    pub fn of(model: &mut RecipeModel, sequences: &[Vec<u32>]) -> Result<Self, Error> {
        let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let states = model.hidden_states(&slices)?;
        let ends = slices.iter().scan(0, |end, sequence| {
            *end += sequence.len();
            Some(*end - 1)
        });
        let last_tokens = ends.collect();
        Ok(Self { states, width: model.runtime().config().hidden_size, last_tokens })
    }

    /// The attention sinks that the model makes of the text ([`find_sinks`](crate::bridges::find_sinks) finds the same
    /// by a walk of its own).
    #[must_use]
    pub fn sinks(&self) -> Vec<Sink> {
        StreamLengths::of(&self.states, self.width, &self.last_tokens).sinks(self.last_tokens.len())
    }

    /// The residual stream of one token at one place, `[width]`.
    pub(crate) fn row(&self, place: usize, token: usize) -> &[f32] {
        &self.states[place][token * self.width..(token + 1) * self.width]
    }

    /// How many tokens there are, over all sequences.
    pub(super) fn tokens(&self) -> usize {
        self.states.first().map_or(0, |state| state.len() / self.width.max(1))
    }

    /// How many layers the model has.
    pub(crate) fn layers(&self) -> usize {
        self.states.len().saturating_sub(1)
    }
}

/// The cosine of two vectors in f64, 0 if one is zero.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { (dot(a, b) / norms).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::HiddenStates;

    /// Two tokens in a plane; the angle by which each layer turns them, in degrees.
    pub fn turning(degrees: &[f64]) -> HiddenStates {
        let mut angle = 0.0_f64;
        let mut states = vec![vec![1.0, 0.0, 0.0, 2.0]];
        for turn in degrees {
            angle += turn.to_radians();
            let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
            states.push(vec![cos, sin, -2.0 * sin, 2.0 * cos]);
        }
        HiddenStates { states, width: 2, last_tokens: vec![0, 1] }
    }
}
