//! Bridges layer by layer: each on what the cut model itself computes, towards what its teacher computes.

use std::collections::BTreeMap;
use std::path::Path;

use layer_ir::Recipe;
use layer_runtime::{Activations, Runtime};

use super::gather::StatisticsBuilder;
use super::recipe::{next_layer, source_layer};
use super::statistics::{FIT, HELD_BACK};
use super::{FitError, FittedDelta, Gap, Statistics, StatisticsSettings, StatisticsShape};
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

/// A layer that [`bridge_sequentially`] has fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct SequentialBridge {
    /// The layer's place in the recipe, from 0.
    pub place: usize,
    /// How many of the teacher's layers are behind the stream that the layer is fitted to.
    pub target: usize,
    /// The change of its down projection, and how the fit went.
    pub fitted: FittedDelta,
    /// Whether the layer carries it: it left less of the squared error on text held back than no bridge.
    pub kept: bool,
}

/// Refits the down projection of every layer from the first gap of a recipe on, one after the other: on the inner
/// activations of the cut model with all bridges before, towards the stream that enters, in the teacher, the layer that
/// comes next. So a layer also mends what the ones before it could not.
///
/// For the layer at place `p`, before old layer `j`: `ΔW` minimises `Σ w |X_j - Y_{p+1} - ΔW h|²` with the ridge of
/// [`Statistics::refit`], where `X_j` is the teacher's stream before its layer `j`, `Y_{p+1}` and `h` the cut model's
/// stream after the layer and the input of its down projection, and `w = 1/|Y_{p+1}|²`. Merged layers take part.
/// Bridges that the recipe has from the first gap on are replaced. Files go into `folder`.
///
/// Costs one walk of the text through each teacher, and one through the first `p + 1` layers for every place. Memory:
/// the teacher's streams (4 bytes for each token, hidden number and place) and the sums of one layer, together at most
/// `settings.memory_bytes`.
///
/// # Errors
/// [`Error::Bridge`], of too little text, of memory, or of a fit that cannot be solved; when a model cannot be run or a
/// file cannot be written.
pub fn bridge_sequentially(
    runtime: &Runtime,
    recipe: &mut Recipe,
    calibration: &[TaughtText],
    settings: StatisticsSettings,
    ridges: &[f64],
    folder: &Path,
) -> Result<Vec<SequentialBridge>, Error> {
    let targets = targets(recipe, runtime.family().base().num_layers());
    for (place, _) in &targets {
        recipe.layers[*place].bridge = None;
    }
    let streams = TeacherStreams::of(runtime, calibration, targets.iter().map(|(_, target)| *target), settings)?;
    let mut bridges = Vec::new();
    for (place, target) in targets {
        let statistics = layer_statistics(runtime, recipe, place, &streams.towards(target), settings)?;
        let fitted = statistics.refit(Gap { after: 0, length: 1 }, ridges)?;
        let kept = fitted.held_back_error().is_none_or(|error| error < 1.0);
        if kept {
            recipe.layers[place].bridge = Some(fitted.delta.write(folder)?);
        }
        bridges.push(SequentialBridge { place, target, fitted, kept });
    }
    Ok(bridges)
}

/// The places of a recipe from its first gap on, each with the teacher's layer that comes next; a layer before one that
/// is made of several has none.
fn targets(recipe: &Recipe, layers: usize) -> Vec<(usize, usize)> {
    let places = 0..recipe.layers.len();
    let is_whole = |place: &usize| source_layer(&recipe.layers[*place].from) == Some(*place);
    // The first layer that is not where it was: the one before it stands before the gap.
    let moved = places.clone().find(|place| !is_whole(place)).unwrap_or(recipe.layers.len());
    let first = if moved == layers { moved } else { moved.saturating_sub(1) };
    places.skip(first).filter_map(|place| Some((place, next_layer(recipe, place, layers)?))).collect()
}

/// What the teachers make of the calibration text.
struct TeacherStreams<'a> {
    texts: Vec<&'a [u32]>,
    /// By the number of layers behind it and the text: the stream `[tokens, hidden]`.
    streams: BTreeMap<usize, Vec<Vec<f32>>>,
}

/// The calibration text, and the stream of each text, `[tokens, hidden]`, that a layer is fitted to.
struct Lesson<'a> {
    texts: &'a [&'a [u32]],
    towards: &'a [Vec<f32>],
}

impl<'a> TeacherStreams<'a> {
    /// Walks each text through its teacher and keeps the streams behind so many layers each.
    fn of(
        runtime: &Runtime,
        calibration: &'a [TaughtText],
        places: impl Iterator<Item = usize>,
        settings: StatisticsSettings,
    ) -> Result<Self, Error> {
        let hidden = runtime.config().hidden_size;
        let texts: Vec<&[u32]> = calibration.iter().map(|text| &text.tokens[..]).collect();
        let empty = || texts.iter().map(|text| vec![0.0; text.len() * hidden]).collect();
        let places: Vec<usize> = places.collect();
        let tokens: usize = texts.iter().map(|text| text.len()).sum();
        let (needed, budget) = ((tokens * hidden * places.len() * size_of::<f32>()) as u64, settings.memory_bytes);
        if needed > budget {
            return Err(FitError::Memory { needed, budget }.into());
        }
        let mut streams: BTreeMap<usize, Vec<Vec<f32>>> = places.into_iter().map(|place| (place, empty())).collect();
        let mut of_teachers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, text) in calibration.iter().enumerate() {
            of_teachers.entry(&text.teacher).or_default().push(index);
        }
        for (teacher, own) in of_teachers {
            let family = runtime.family();
            let mut model = runtime.model(whole_model(family, teacher).validate(family, &())?)?;
            let slices: Vec<&[u32]> = own.iter().map(|index| texts[*index]).collect();
            model.activations(&slices, |seen| {
                if let Some(kept) = streams.get_mut(&seen.place) {
                    for (row, token) in seen.stream.chunks_exact(hidden).zip(seen.tokens) {
                        kept[own[token.sequence]][token.position * hidden..][..hidden].copy_from_slice(row);
                    }
                }
                Ok::<_, layer_runtime::Error>(())
            })?;
        }
        Ok(Self { texts, streams })
    }

    /// The streams behind so many layers.
    fn towards(&self, target: usize) -> Lesson<'_> {
        Lesson { texts: &self.texts, towards: self.streams.get(&target).map_or(&[], Vec::as_slice) }
    }
}

/// The sums for the layer at a place of the cut model, as those of a model of this layer alone before a gap of one:
/// behind the gap stands what the teacher computes.
fn layer_statistics(
    runtime: &Runtime,
    recipe: &Recipe,
    place: usize,
    lesson: &Lesson<'_>,
    settings: StatisticsSettings,
) -> Result<Statistics, Error> {
    let (family, config) = (runtime.family(), runtime.config());
    let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
    let mut begun = recipe.clone();
    begun.layers.truncate(place + 1);
    let scale = begun.layers[place].scale;
    let mut model = runtime.model(begun.validate(family, runtime.registry())?)?;
    let shape = StatisticsShape { layers: 2, intermediate, hidden, largest_gap: 1 };
    let settings = StatisticsSettings { largest_gap: 1, ..settings };
    let mut builder = StatisticsBuilder::new(shape, settings, runtime.options().batch_tokens)?;
    for part in [FIT, HELD_BACK] {
        let indices: Vec<usize> = (0..lesson.texts.len()).filter(|index| settings.part_of(*index) == part).collect();
        let slices: Vec<&[u32]> = indices.iter().map(|index| lesson.texts[*index]).collect();
        model.activations(&slices, |seen| {
            let Activations { tokens, place: behind, mut inner, stream } = seen;
            if behind == 0 {
                return builder.add(part, Activations { tokens, place: 0, inner, stream }, |at| indices[at]);
            }
            if behind <= place {
                return Ok(());
            }
            if scale != 1.0 {
                inner.iter_mut().for_each(|value| *value *= scale);
            }
            let row = |token: &layer_runtime::TokenPlace| {
                &lesson.towards[indices[token.sequence]][token.position * hidden..][..hidden]
            };
            let taught: Vec<f32> = tokens.iter().flat_map(row).copied().collect();
            builder.add(part, Activations { tokens, place: 1, inner, stream }, |at| indices[at])?;
            builder.add(part, Activations { tokens, place: 2, inner: Vec::new(), stream: taught }, |at| indices[at])
        })?;
    }
    Ok(builder.finish(lesson.texts.len())?)
}
