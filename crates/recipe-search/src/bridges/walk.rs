//! A walk of the calibration text through a model, one part after the other, so that each batch is all of one part.

use layer_runtime::{Activations, ActivationsOptions, RecipeModel, TokenPlace};
use rayon::prelude::*;

use super::sums::{FIT, HELD_BACK, Part};
use super::{FitError, StatisticsSettings};

/// Shows what a model makes of some sequences, batch by batch and place by place, with the part that the batch belongs
/// to. The tokens' sequences are those of `sequences`.
///
/// # Errors
/// What `each` returns; [`FitError::NotFinite`]; [`FitError::Model`] when the model cannot be run.
pub(super) fn walk(
    model: &mut RecipeModel,
    sequences: &[&[u32]],
    settings: StatisticsSettings,
    options: ActivationsOptions,
    mut each: impl FnMut(Part, Activations<'_>) -> Result<(), FitError>,
) -> Result<(), FitError> {
    for (part, indices) in parts(sequences.len(), settings) {
        let slices: Vec<&[u32]> = indices.iter().map(|index| sequences[*index]).collect();
        model.activations_with(&slices, options, |seen| in_whole_text(seen, &indices, |seen| each(part, seen)))?;
    }
    Ok(())
}

/// # Errors
/// [`FitError::NotFinite`] for the first token that has a value that is not finite.
pub(super) fn check_finite(seen: &Activations<'_>) -> Result<(), FitError> {
    let find = |values: &[f32]| {
        let width = values.len() / seen.tokens.len().max(1);
        // All values of a row are looked at, without a branch for each.
        let finite = |row: &[f32]| row.iter().fold(true, |finite, value| finite & value.is_finite());
        values.par_chunks(width.max(1)).position_first(|row| !finite(row))
    };
    match [&seen.inner, &seen.stream].into_iter().find_map(|values| find(values)) {
        None => Ok(()),
        Some(row) => {
            let TokenPlace { sequence, position } = seen.tokens[row];
            Err(FitError::NotFinite { layer: seen.place.saturating_sub(1), sequence, position })
        }
    }
}

/// One layer on the stream before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerWalk<'a> {
    /// Which one.
    pub layer: usize,
    /// The stream, `[tokens, hidden]` of each sequence.
    pub streams: &'a [Vec<f32>],
    /// Whether what stands inside of the attention is shown too.
    pub attention: bool,
}

impl LayerWalk<'_> {
    /// As [`walk`], of the one place after the layer.
    ///
    /// # Errors
    /// As of [`walk`].
    pub fn walk(
        self,
        model: &mut RecipeModel,
        sequences: &[&[u32]],
        settings: StatisticsSettings,
        mut each: impl FnMut(Part, Activations<'_>) -> Result<(), FitError>,
    ) -> Result<(), FitError> {
        for (part, indices) in parts(sequences.len(), settings) {
            let slices: Vec<&[u32]> = indices.iter().map(|index| sequences[*index]).collect();
            let streams: Vec<&[f32]> = indices.iter().map(|index| self.streams[*index].as_slice()).collect();
            model.layer_activations(self.layer, &slices, &streams, self.attention, |seen| {
                in_whole_text(seen, &indices, |seen| each(part, seen))
            })?;
        }
        Ok(())
    }
}

/// The parts of the text: which sequences each has.
fn parts(sequences: usize, settings: StatisticsSettings) -> [(Part, Vec<usize>); 2] {
    [FIT, HELD_BACK].map(|part| (part, (0..sequences).filter(|index| settings.part_of(*index) == part).collect()))
}

/// Hands on what is seen of a part, with the tokens' sequences as they are in the whole text.
fn in_whole_text(
    seen: Activations<'_>,
    indices: &[usize],
    each: impl FnOnce(Activations<'_>) -> Result<(), FitError>,
) -> Result<(), FitError> {
    let place = |token: &TokenPlace| TokenPlace { sequence: indices[token.sequence], ..*token };
    let tokens: Vec<TokenPlace> = seen.tokens.iter().map(place).collect();
    let seen = Activations { tokens: &tokens, ..seen };
    check_finite(&seen)?;
    each(seen)
}
