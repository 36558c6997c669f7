//! One walk of the calibration text through a model.

use std::collections::VecDeque;

use layer_runtime::{Activations, RecipeModel, TokenPlace};
use rayon::prelude::*;

use super::products::{TokenRows, add_cross, add_gram};
use super::statistics::{FIT, HELD_BACK, Part, Sums};
use super::{FitError, Statistics, StatisticsSettings, StatisticsShape};

impl Statistics {
    /// Walks the calibration text, sequences of token ids, through a model and sums up what its bridges need. The text
    /// goes through batch by batch; memory does not grow with it.
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
        let shape = StatisticsShape {
            layers: model.recipe().layers.len(),
            intermediate: model.runtime().config().intermediate_size,
            hidden: model.runtime().config().hidden_size,
            largest_gap: settings.largest_gap,
        };
        let scales: Vec<f32> = model.recipe().layers.iter().map(|layer| layer.scale).collect();
        let mut builder = StatisticsBuilder::new(shape, settings, model.runtime().options().batch_tokens)?;
        // One part after the other, so that a batch is all of one part.
        for part in [FIT, HELD_BACK] {
            let of_part = |index: &usize| settings.part_of(*index) == part;
            let indices: Vec<usize> = (0..sequences.len()).filter(of_part).collect();
            let slices: Vec<&[u32]> = indices.iter().map(|index| sequences[*index].as_slice()).collect();
            model.activations(&slices, |mut seen| {
                let scale = seen.place.checked_sub(1).map_or(1.0, |layer| scales[layer]);
                if scale != 1.0 {
                    seen.inner.iter_mut().for_each(|value| *value *= scale);
                }
                builder.add(part, seen, |sequence| indices[sequence])
            })?;
        }
        builder.finish(sequences.len())
    }
}

/// [`Statistics`] in the making.
#[derive(Debug)]
pub(super) struct StatisticsBuilder {
    statistics: Statistics,
    /// Layers of the batch at work whose gaps have not all ended, the first one first.
    open: VecDeque<OpenLayer>,
    /// The weighted targets of a gap, `[tokens, hidden]`: memory that is used again.
    targets: Vec<f32>,
}

/// A layer of the batch at work, with gaps that have not ended.
#[derive(Debug)]
struct OpenLayer {
    layer: usize,
    /// The inner activations times the roots of the weights, `[tokens, intermediate]`.
    inner: Vec<f32>,
    /// The stream after the layer, `[tokens, hidden]`.
    stream: Vec<f32>,
    /// The roots of the tokens' weights.
    roots: Vec<f32>,
}

impl StatisticsBuilder {
    /// Nothing is summed yet. Batches have about `batch_tokens` tokens.
    ///
    /// # Errors
    /// [`FitError::Setting`], [`FitError::Memory`].
    pub fn new(shape: StatisticsShape, settings: StatisticsSettings, batch_tokens: usize) -> Result<Self, FitError> {
        let StatisticsSettings { largest_gap, held_back_every, memory_bytes: budget } = settings;
        for (key, found, least) in [("largest_gap", largest_gap, 1), ("held_back_every", held_back_every, 2)] {
            if found < least {
                return Err(FitError::Setting { key, found, least });
            }
        }
        let needed = shape.bytes().saturating_add(shape.batch_bytes(batch_tokens));
        if needed > budget {
            return Err(FitError::Memory { needed, budget });
        }
        Ok(Self { statistics: Statistics::zero(shape, held_back_every), open: VecDeque::new(), targets: Vec::new() })
    }

    /// Adds a batch of tokens of one part at one place; the places come in their order. `sequence` says which sequence
    /// of the calibration text one of the batch is.
    ///
    /// # Errors
    /// [`FitError::NotFinite`].
    pub fn add(
        &mut self,
        part: Part,
        seen: Activations<'_>,
        sequence: impl Fn(usize) -> usize,
    ) -> Result<(), FitError> {
        let Some(layer) = seen.place.checked_sub(1) else {
            self.open.clear();
            return Ok(());
        };
        let shape = self.statistics.shape;
        if let Some(TokenPlace { sequence: index, position }) = first_not_finite(&seen) {
            return Err(FitError::NotFinite { layer, sequence: sequence(index), position });
        }
        for open in &self.open {
            let sums = &mut self.statistics.layers[open.layer][part];
            open.add_gap(&seen.stream, shape, layer - open.layer, sums, &mut self.targets);
        }
        self.open.retain(|open| layer - open.layer < shape.longest_gap_after(open.layer));
        if shape.longest_gap_after(layer) > 0 {
            let open = OpenLayer::new(seen, shape);
            open.add_layer(shape, &mut self.statistics.layers[layer][part]);
            self.open.push_back(open);
        }
        Ok(())
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
        // Only the lower triangles are summed.
        let sums = self.statistics.layers.par_iter_mut().flatten();
        sums.for_each(|sums| sums.gram.fill_upper_triangle_with_lower_triangle());
        Ok(self.statistics)
    }
}

/// The first token that has a value that is not finite.
fn first_not_finite(seen: &Activations<'_>) -> Option<TokenPlace> {
    let find = |values: &[f32]| {
        let width = values.len() / seen.tokens.len().max(1);
        // All values of a row are looked at, without a branch for each.
        let finite = |row: &[f32]| row.iter().fold(true, |finite, value| finite & value.is_finite());
        values.par_chunks(width.max(1)).position_first(|row| !finite(row))
    };
    Some(seen.tokens[find(&seen.inner).or_else(|| find(&seen.stream))?])
}

impl OpenLayer {
    /// The tokens weighted by `1/|x|²`, of the stream after the layer. A stream that is zero (below 1e-38) has no
    /// weight.
    fn new(seen: Activations<'_>, shape: StatisticsShape) -> Self {
        let Activations { place, mut inner, stream, .. } = seen;
        let root = |row: &[f32]| {
            let root = (1.0 / dot(row, row).sqrt()) as f32;
            if root.is_finite() { root } else { 0.0 }
        };
        let roots: Vec<f32> = stream.par_chunks(shape.hidden).map(root).collect();
        inner.par_chunks_mut(shape.intermediate).zip(&roots).for_each(|(row, root)| {
            row.iter_mut().for_each(|value| *value *= root);
        });
        Self { layer: place - 1, inner, stream, roots }
    }

    /// Adds the Gram matrix.
    fn add_layer(&self, shape: StatisticsShape, sums: &mut Sums) {
        sums.tokens += self.roots.len();
        sums.stream += self.roots.iter().filter(|root| **root > 0.0).count() as f64;
        add_gram(&mut sums.gram, TokenRows { values: &self.inner, width: shape.intermediate });
    }

    /// Adds what the layer has to do with the stream `later` behind a gap of so many layers.
    fn add_gap(&self, later: &[f32], shape: StatisticsShape, length: usize, sums: &mut Sums, targets: &mut Vec<f32>) {
        let StatisticsShape { hidden, intermediate, .. } = shape;
        targets.resize(later.len(), 0.0);
        let rows = targets.par_chunks_mut(hidden).zip(self.stream.par_chunks(hidden).zip(later.par_chunks(hidden)));
        // Of each token: `w |r|²` and `w x·r`.
        let squares = rows.zip(&self.roots).map(|((target, (before, after)), root)| {
            for ((target, before), after) in target.iter_mut().zip(before).zip(after) {
                *target = root * (after - before);
            }
            (dot(target, target), f64::from(*root) * dot(target, before))
        });
        let squares: Vec<(f64, f64)> = squares.collect();
        let sums = &mut sums.gaps[length - 1];
        sums.target += squares.iter().map(|(square, _)| square).sum::<f64>();
        sums.along += squares.iter().map(|(_, along)| along).sum::<f64>();
        let inner = TokenRows { values: &self.inner, width: intermediate };
        add_cross(&mut sums.cross, inner, TokenRows { values: targets, width: hidden });
    }
}

/// The sum of products, in f64; in several sums, so that no addition waits for the one before it.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const SUMS: usize = 16;
    let mut sums = [0.0; SUMS];
    let (a_parts, b_parts) = (a.chunks(SUMS), b.chunks(SUMS));
    for (a, b) in a_parts.zip(b_parts) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += f64::from(*a) * f64::from(*b));
    }
    sums.iter().sum()
}
