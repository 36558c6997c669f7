//! The cut model while it is bridged: its residual stream on the calibration text, taken from layer to layer.

use layer_ir::Recipe;
use layer_runtime::{Activations, ActivationsOptions, RecipeModel, Runtime};

use super::ridge::{FitText, NormalEquations, Solution, fit};
use super::sums::{FIT, HELD_BACK, Sums, WeightedRows};
use super::teacher::TaughtText;
use super::walk::{LayerWalk, walk};
use super::{FitError, FittedDelta, StatisticsSettings, StatisticsShape};
use crate::Error;

/// A projection that writes into the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Projection {
    /// Behind the attention.
    Output,
    /// Behind the MLP.
    Down,
}

/// The cut model's residual stream before some layer.
pub(super) struct Student<'a> {
    runtime: &'a Runtime,
    texts: Vec<&'a [u32]>,
    settings: StatisticsSettings,
    /// Numbers of a row of the stream.
    pub hidden: usize,
    /// The stream before the layer that is next, `[tokens, hidden]` of each text.
    streams: Vec<Vec<f32>>,
}

impl<'a> Student<'a> {
    /// Walks the text through the layers before the one at `place`.
    ///
    /// # Errors
    /// When the model cannot be run; [`FitError::NotFinite`].
    pub fn before(
        runtime: &'a Runtime,
        recipe: &Recipe,
        place: usize,
        calibration: &'a [TaughtText],
        settings: StatisticsSettings,
    ) -> Result<Self, Error> {
        let hidden = runtime.config().hidden_size;
        let texts: Vec<&[u32]> = calibration.iter().map(|text| &text.tokens[..]).collect();
        let mut streams: Vec<Vec<f32>> = texts.iter().map(|text| vec![0.0; text.len() * hidden]).collect();
        let options = ActivationsOptions { layers: Some(place), ..ActivationsOptions::default() };
        walk(&mut model(runtime, recipe)?, &texts, settings, options, |_, seen| {
            if seen.place == place {
                keep(&mut streams, &seen, hidden);
            }
            Ok(())
        })?;
        Ok(Self { runtime, texts, settings, hidden, streams })
    }

    /// The sums for a projection of the layer at `place`, which is next, towards some streams, `[tokens, hidden]` of
    /// each text.
    ///
    /// # Errors
    /// When the model cannot be run; [`FitError::NotFinite`].
    pub fn sums(
        &self,
        recipe: &Recipe,
        place: usize,
        projection: Projection,
        towards: &[Vec<f32>],
    ) -> Result<LayerSums, Error> {
        let (hidden, scale) = (self.hidden, recipe.layers[place].scale);
        let mut sums: Option<[Sums; 2]> = None;
        let mut targets = Vec::new();
        self.walk_layer(recipe, place, projection == Projection::Output, |part, seen| {
            let row = |token: &layer_runtime::TokenPlace| &towards[token.sequence][token.position * hidden..][..hidden];
            let towards: Vec<f32> = seen.tokens.iter().flat_map(row).copied().collect();
            let (inputs, stream) = match (projection, seen.attention) {
                (Projection::Output, Some(attention)) => (attention.attended, attention.stream),
                // A change of the weight counts times the output scale.
                _ => (seen.inner.into_iter().map(|value| scale * value).collect(), seen.stream),
            };
            let width = inputs.len() / seen.tokens.len().max(1);
            let zero = || [FIT, HELD_BACK].map(|_| Sums::zero(width, hidden, [0]));
            let sums = &mut sums.get_or_insert_with(zero)[part];
            let rows = WeightedRows::new(inputs, stream, hidden);
            rows.add_gram(sums);
            if let Some(towards_one) = sums.gaps.get_mut(&0) {
                rows.add_target(&towards, towards_one, &mut targets);
            }
            Ok(())
        })?;
        let mut parts = sums.ok_or(FitError::NoTokens)?;
        parts.iter_mut().for_each(|sums| sums.gram.mirror());
        let tokens = parts.each_ref().map(|sums| sums.tokens);
        let (sequences, held_back_every) = (self.texts.len(), self.settings.held_back_every);
        Ok(LayerSums { parts, text: FitText { tokens, sequences, held_back_every, after: place } })
    }

    /// Takes the stream through the layer at `place`.
    ///
    /// # Errors
    /// When the model cannot be run; [`FitError::NotFinite`].
    pub fn advance(&mut self, recipe: &Recipe, place: usize) -> Result<(), Error> {
        let mut after: Vec<Vec<f32>> = self.streams.iter().map(|stream| vec![0.0; stream.len()]).collect();
        self.walk_layer(recipe, place, false, |_, seen| {
            keep(&mut after, &seen, self.hidden);
            Ok(())
        })?;
        self.streams = after;
        Ok(())
    }

    /// Runs the layer at `place` on the stream before it.
    fn walk_layer(
        &self,
        recipe: &Recipe,
        place: usize,
        attention: bool,
        each: impl FnMut(usize, Activations<'_>) -> Result<(), FitError>,
    ) -> Result<(), Error> {
        let layer = LayerWalk { layer: place, streams: &self.streams, attention };
        Ok(layer.walk(&mut model(self.runtime, recipe)?, &self.texts, self.settings, each)?)
    }
}

/// The sums of one layer towards one stream.
#[derive(Debug)]
pub(super) struct LayerSums {
    parts: [Sums; 2],
    text: FitText,
}

impl LayerSums {
    /// The change of the weight that brings the stream nearest, row after row.
    ///
    /// # Errors
    /// As of [`Statistics::refit`](super::Statistics::refit).
    pub fn fit(&self, ridges: &[f64]) -> Result<FittedDelta<Vec<f32>>, FitError> {
        let [Some(fitted), Some(held_back)] = self.parts.each_ref().map(|sums| Some((sums, sums.gaps.get(&0)?))) else {
            return Err(FitError::NoTokens);
        };
        let parts = [fitted, held_back].map(NormalEquations::of);
        let Solution { values, ridge, tried, few_tokens } = fit(self.text, parts, ridges, |delta| delta)?;
        Ok(FittedDelta { delta: values, ridge, tried, few_tokens })
    }
}

impl<D> FittedDelta<D> {
    /// With another form of the delta.
    pub(super) fn map<E>(self, form: impl FnOnce(D) -> E) -> FittedDelta<E> {
        let Self { delta, ridge, tried, few_tokens } = self;
        FittedDelta { delta: form(delta), ridge, tried, few_tokens }
    }
}

/// The bytes that a layer's sums take, in batches of the runtime's size, with those at work.
pub(super) fn layer_bytes(runtime: &Runtime) -> u64 {
    let config = runtime.config();
    let shape = StatisticsShape {
        layers: 2,
        intermediate: config.intermediate_size.max(config.num_heads * config.head_dim),
        hidden: config.hidden_size,
        largest_gap: 1,
    };
    shape.needed_bytes(runtime.options().batch_tokens)
}

/// The model of a recipe.
fn model(runtime: &Runtime, recipe: &Recipe) -> Result<RecipeModel, Error> {
    Ok(runtime.model(recipe.clone().validate(runtime.family(), runtime.registry())?)?)
}

/// Puts the rows of a batch where they belong.
pub(super) fn keep(streams: &mut [Vec<f32>], seen: &Activations<'_>, hidden: usize) {
    for (row, token) in seen.stream.chunks_exact(hidden).zip(seen.tokens) {
        streams[token.sequence][token.position * hidden..][..hidden].copy_from_slice(row);
    }
}
