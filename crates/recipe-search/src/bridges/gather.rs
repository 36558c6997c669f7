//! Statistics from a walk of the calibration text through a model.

use std::collections::VecDeque;

use layer_runtime::{Activations, ActivationsOptions, RecipeModel};
use rayon::prelude::*;

use super::gaps::GapSet;
use super::sinks::StreamLengths;
use super::sums::{Part, WeightedRows};
use super::walk::walk;
use super::{FitError, Gap, Statistics, StatisticsSettings, StatisticsShape};

impl Statistics {
    /// Walks the calibration text, sequences of token ids, through a model and sums up what the bridges over all gaps
    /// up to `settings.largest_gap` need. The text goes through batch by batch; memory does not grow with it.
    ///
    /// The sequences should be independent of each other, as some are held back to choose the ridge on. A layer with an
    /// output scale `s` counts with inner activations times `s`, so that a fitted delta is one of the weight before
    /// the scale.
    ///
    /// # Errors
    /// [`FitError::NoTokens`]; [`FitError::Setting`]; [`FitError::Memory`] before anything is computed;
    /// [`FitError::NotFinite`]; [`FitError::Model`] when the model cannot be run.
    pub fn gather(
        model: &mut RecipeModel,
        sequences: &[Vec<u32>],
        settings: StatisticsSettings,
    ) -> Result<Self, FitError> {
        let gaps: Vec<Gap> = Gap::up_to(settings.largest_gap, model.recipe().layers.len()).collect();
        Self::gather_gaps(model, sequences, &gaps, settings)
    }

    /// As [`Statistics::gather`], of some gaps alone; the walk ends where the last of them does.
    ///
    /// # Errors
    /// As of [`Statistics::gather`]; [`FitError::UnknownGap`] for one that the model does not have.
    pub fn gather_gaps(
        model: &mut RecipeModel,
        sequences: &[Vec<u32>],
        gaps: &[Gap],
        settings: StatisticsSettings,
    ) -> Result<Self, FitError> {
        let gaps = GapSet::of(gaps.iter().copied());
        let scales: Vec<f32> = model.recipe().layers.iter().map(|layer| layer.scale).collect();
        let shape = StatisticsShape::of(model, &gaps);
        let mut builder = StatisticsBuilder::new(shape, &gaps, settings, model.runtime().options().batch_tokens)?;
        let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let options = ActivationsOptions { layers: Some(gaps.last_end()), ..ActivationsOptions::default() };
        walk(model, &slices, settings, options, |part, mut seen| {
            let scale = seen.place.checked_sub(1).map_or(1.0, |layer| scales[layer]);
            if scale != 1.0 {
                seen.inner.iter_mut().for_each(|value| *value *= scale);
            }
            builder.add(part, seen);
            Ok(())
        })?;
        builder.finish(sequences.len())
    }
}

impl StatisticsShape {
    /// Of a model and some gaps.
    pub(super) fn of(model: &RecipeModel, gaps: &GapSet) -> Self {
        let (layers, config) = (model.recipe().layers.len(), model.runtime().config());
        let largest_gap = gaps.iter().map(|gap| gap.length).max().unwrap_or(1);
        Self { layers, intermediate: config.intermediate_size, hidden: config.hidden_size, largest_gap }
    }

    /// The bytes that statistics of some gaps take at most, in batches of so many tokens, with those at work: in a walk
    /// or in a fit.
    pub(super) fn needed(&self, gaps: &GapSet, batch_tokens: usize) -> u64 {
        let batch = self.batch_bytes_of(gaps.layers_at_once(), batch_tokens);
        let statistics = self.bytes_of(gaps.layers().count() as u128, gaps.len() as u128);
        statistics.saturating_add(batch.max(self.fit_bytes()))
    }
}

/// [`Statistics`] in the making.
#[derive(Debug)]
pub(super) struct StatisticsBuilder {
    statistics: Statistics,
    gaps: GapSet,
    /// Layers of the batch at work whose gaps have not all ended, the first one first.
    open: VecDeque<(usize, WeightedRows)>,
    /// The weighted targets of a gap, `[tokens, hidden]`: memory that is used again.
    targets: Vec<f32>,
    lengths: StreamLengths,
}

impl StatisticsBuilder {
    /// Nothing is summed yet. Batches have about `batch_tokens` tokens.
    ///
    /// # Errors
    /// [`FitError::Setting`], [`FitError::Memory`]; [`FitError::UnknownGap`] for a gap that the shape does not have.
    pub fn new(
        shape: StatisticsShape,
        gaps: &GapSet,
        settings: StatisticsSettings,
        batch_tokens: usize,
    ) -> Result<Self, FitError> {
        settings.check()?;
        let StatisticsShape { layers, largest_gap: largest, .. } = shape;
        if let Some(Gap { after, length }) = gaps.iter().find(|gap| gap.length == 0 || gap.end() > layers) {
            return Err(FitError::UnknownGap { after, length, layers, largest });
        }
        let (needed, budget) = (shape.needed(gaps, batch_tokens), settings.memory_bytes);
        if needed > budget {
            return Err(FitError::Memory { needed, budget });
        }
        Ok(Self {
            statistics: Statistics::zero(shape, gaps, settings.held_back_every),
            gaps: gaps.clone(),
            open: VecDeque::new(),
            targets: Vec::new(),
            lengths: StreamLengths::default(),
        })
    }

    /// Adds a batch of tokens of one part at one place; the places come in their order.
    pub fn add(&mut self, part: Part, seen: Activations<'_>) {
        let hidden = self.statistics.shape.hidden;
        self.lengths.add(&seen, hidden);
        let Some(layer) = seen.place.checked_sub(1) else {
            self.open.clear();
            return;
        };
        for (after, rows) in &self.open {
            let sums =
                self.statistics.layers.get_mut(after).and_then(|parts| parts[part].gaps.get_mut(&(layer - after)));
            if let Some(sums) = sums {
                rows.add_target(&seen.stream, sums, &mut self.targets);
            }
        }
        self.open.retain(|(after, _)| self.gaps.longest_after(*after).is_some_and(|longest| layer < after + longest));
        if let Some(parts) = self.statistics.layers.get_mut(&layer) {
            let rows = WeightedRows::new(seen.inner, seen.stream, hidden);
            rows.add_gram(&mut parts[part]);
            self.open.push_back((layer, rows));
        }
    }

    /// The statistics of all batches, which held so many sequences.
    ///
    /// # Errors
    /// [`FitError::NoTokens`].
    pub fn finish(mut self, sequences: usize) -> Result<Statistics, FitError> {
        if self.statistics.tokens() == [0, 0] {
            return Err(FitError::NoTokens);
        }
        self.statistics.sequences = sequences;
        self.statistics.sinks = self.lengths.sinks(sequences);
        let sums: Vec<_> = self.statistics.layers.values_mut().flatten().collect();
        sums.into_par_iter().for_each(|sums| sums.gram.mirror());
        Ok(self.statistics)
    }
}
