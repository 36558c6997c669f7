//! Reading distributions off a model, whatever order it computes them in, and holding it to the laws of
//! [`LogitsModel`].

use std::sync::Arc;

use super::error::ObjectiveError;
use super::logits_model::LogitsModel;

/// Some of a calibration's texts, with their numbers in it for errors.
pub(super) struct TextSelection {
    /// Their places in the calibration, from 0.
    pub numbers: Vec<usize>,
    /// The tokens of each.
    pub texts: Vec<Arc<[u32]>>,
}

impl TextSelection {
    /// The texts of these numbers, in their order.
    ///
    /// # Errors
    /// [`ObjectiveError::NoSuchText`] for a number beyond them.
    pub(super) fn new(all: &[Arc<[u32]>], numbers: &[usize]) -> Result<Self, ObjectiveError> {
        let find = |&text: &usize| all.get(text).cloned().ok_or(ObjectiveError::NoSuchText { text, len: all.len() });
        let texts = numbers.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { numbers: numbers.to_vec(), texts })
    }

    /// All texts, in their order.
    pub(super) fn all(texts: &[Arc<[u32]>]) -> Self {
        Self { numbers: (0..texts.len()).collect(), texts: texts.to_vec() }
    }

    /// Whether a model that sees so many tokens at once can see each text.
    pub(super) fn check_fit(&self, max_length: usize) -> Result<(), ObjectiveError> {
        let too_long = self.numbers.iter().zip(&self.texts).find(|(_, text)| text.len() > max_length);
        too_long.map_or(Ok(()), |(&text, tokens)| {
            Err(ObjectiveError::TextTooLong { text, tokens: tokens.len(), max_length })
        })
    }
}

/// What `take(text, position, logits)` makes of each distribution, text by text and position by position; `text` is a
/// number of `chosen`.
pub(super) fn read_positions<T>(
    model: &mut dyn LogitsModel,
    chosen: &TextSelection,
    mut take: impl FnMut(usize, usize, &[f32]) -> Result<T, ObjectiveError>,
) -> Result<Vec<Vec<T>>, ObjectiveError> {
    chosen.check_fit(model.max_length())?;
    let mut taken: Vec<Vec<Option<T>>> = chosen.texts.iter().map(|text| text.iter().map(|_| None).collect()).collect();
    let mut failed = None;
    let called = model.read_logits(&chosen.texts, &mut |text, position, logits| {
        if failed.is_none() {
            let wrong = |problem| ObjectiveError::Positions { text, position, problem };
            let stored = match taken.get_mut(text).and_then(|positions| positions.get_mut(position)) {
                None => Err(wrong("reads an unknown place,")),
                Some(Some(_)) => Err(wrong("reads again")),
                Some(empty) => take(chosen.numbers[text], position, logits).map(|value| *empty = Some(value)),
            };
            failed = stored.err();
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    called.map_err(|source| ObjectiveError::Model { source })?;
    taken.into_iter().enumerate().map(complete).collect()
}

/// What was taken of a text's positions, each of which the model must have read.
fn complete<T>((text, positions): (usize, Vec<Option<T>>)) -> Result<Vec<T>, ObjectiveError> {
    let one = |(position, value): (usize, Option<T>)| {
        value.ok_or(ObjectiveError::Positions { text, position, problem: "does not read" })
    };
    positions.into_iter().enumerate().map(one).collect()
}
