//! What the teachers make of the calibration text.

use std::collections::{BTreeMap, BTreeSet};

use layer_runtime::{ActivationsOptions, Runtime};

use super::student::layer_bytes;
use super::{FitError, StatisticsSettings};
use crate::Error;
use crate::baselines::whole_model;

/// A text of the calibration, and the model that the cut one is to follow on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaughtText {
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
    /// The teacher's name in the family; with several parents, the best one of the text's task.
    pub teacher: String,
}

/// A place of the teacher's residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Before a layer; of as many layers as there are, before the final norm.
    Before(usize),
    /// Within a layer, after its attention.
    AfterAttention(usize),
}

impl Place {
    /// Layers that are walked through to get there.
    pub fn layers(self) -> usize {
        match self {
            Self::Before(layer) => layer,
            Self::AfterAttention(layer) => layer + 1,
        }
    }
}

/// The teachers' streams at some places, as many of them at a time as memory allows.
pub(super) struct Teachers<'a> {
    runtime: &'a Runtime,
    calibration: &'a [TaughtText],
    /// All places that are asked for, in the order of the questions.
    places: Vec<Place>,
    /// How many of them are known at the same time; at least one.
    at_once: usize,
    /// Of each text the stream `[tokens, hidden]`.
    streams: BTreeMap<Place, Vec<Vec<f32>>>,
}

impl<'a> Teachers<'a> {
    /// Nothing is computed yet.
    ///
    /// # Errors
    /// [`FitError::Memory`] if not even one place fits beside the sums of a layer and the student's stream.
    pub fn new(
        runtime: &'a Runtime,
        calibration: &'a [TaughtText],
        places: Vec<Place>,
        settings: StatisticsSettings,
    ) -> Result<Self, FitError> {
        let tokens: usize = calibration.iter().map(|text| text.tokens.len()).sum();
        let one = ((tokens * runtime.config().hidden_size * size_of::<f32>()) as u64).max(1);
        // The student's stream is there twice while it goes through a layer.
        let (beside, budget) = (layer_bytes(runtime).saturating_add(2 * one), settings.memory_bytes);
        match budget.checked_sub(beside).map(|left| left / one) {
            None | Some(0) => Err(FitError::Memory { needed: beside.saturating_add(one), budget }),
            Some(fit) => {
                let at_once = usize::try_from(fit).unwrap_or(usize::MAX);
                Ok(Self { runtime, calibration, places, at_once, streams: BTreeMap::new() })
            }
        }
    }

    /// The streams at a place. If they are not known, the teachers are run for this place and the next ones.
    ///
    /// # Errors
    /// When a teacher cannot be run.
    pub fn streams(&mut self, place: Place) -> Result<&[Vec<f32>], Error> {
        if !self.streams.contains_key(&place) {
            self.streams.clear();
            let next = self.places.iter().skip_while(|next| **next != place).take(self.at_once);
            let next: BTreeSet<Place> = next.copied().collect();
            self.run(&next)?;
        }
        Ok(self.streams.get(&place).map_or(&[], Vec::as_slice))
    }

    /// Walks each text through its teacher and keeps the streams at some places.
    fn run(&mut self, places: &BTreeSet<Place>) -> Result<(), Error> {
        let (family, hidden) = (self.runtime.family(), self.runtime.config().hidden_size);
        let empty = || self.calibration.iter().map(|text| vec![0.0; text.tokens.len() * hidden]).collect();
        self.streams = places.iter().map(|place| (*place, empty())).collect();
        let options = ActivationsOptions {
            layers: places.iter().map(|place| place.layers()).max(),
            attention: places.iter().any(|place| matches!(place, Place::AfterAttention(_))),
        };
        let mut of_teachers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, text) in self.calibration.iter().enumerate() {
            of_teachers.entry(&text.teacher).or_default().push(index);
        }
        for (teacher, own) in of_teachers {
            let mut model = self.runtime.model(whole_model(family, teacher).validate(family, &())?)?;
            let slices: Vec<&[u32]> = own.iter().map(|index| &self.calibration[*index].tokens[..]).collect();
            model.activations_with(&slices, options, |seen| {
                let attended = seen.attention.as_ref().map(|attention| &attention.stream);
                let inside = seen.place.checked_sub(1).map(Place::AfterAttention).zip(attended);
                for (place, stream) in [(Place::Before(seen.place), &seen.stream)].into_iter().chain(inside) {
                    let Some(kept) = self.streams.get_mut(&place) else { continue };
                    for (row, token) in stream.chunks_exact(hidden).zip(seen.tokens) {
                        kept[own[token.sequence]][token.position * hidden..][..hidden].copy_from_slice(row);
                    }
                }
                Ok::<_, layer_runtime::Error>(())
            })?;
        }
        Ok(())
    }
}
