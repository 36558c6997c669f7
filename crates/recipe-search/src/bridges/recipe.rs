//! Bridges over the gaps of a recipe.

use std::collections::BTreeMap;
use std::path::Path;

use layer_ir::{Expr, LayerExpr, Recipe};
use layer_runtime::{RecipeModel, Runtime};

use super::delta::write_all;
use super::gaps::GapSet;
use super::{FitError, FittedDelta, Gap, Sink, Statistics, StatisticsSettings, StatisticsShape};
use crate::Error;
use crate::baselines::whole_model;

/// A layer of a recipe that another one follows than in its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeGap {
    /// The layer's place in the recipe, from 0.
    pub place: usize,
    /// The model that the layer comes from.
    pub model: String,
    /// The layers that are left out behind it.
    pub gap: Gap,
}

/// A bridge over one gap, and how its fit went.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedBridge {
    /// The gap.
    pub over: RecipeGap,
    /// The change of the down projection, which the recipe names by now.
    pub fitted: FittedDelta,
    /// The attention sink that a layer of the gap makes: no bridge mends its loss.
    pub sink: Option<Sink>,
}

/// The gaps that bridges can be fitted for: behind a layer that is taken from one model, the next layer, or the end,
/// is a later one than that model's next. `layers` is how many the models have.
///
/// A merged layer has no gap here, as no model has its activations; nor has the beginning, before which no layer
/// stands.
///
/// ```
/// use layer_ir::Recipe;
/// use recipe_search::bridges::gaps;
///
/// let mut recipe = Recipe::of_base([].into(), "base", 6);
/// recipe.layers.drain(2..4);
/// let [found] = &gaps(&recipe, 6)[..] else { panic!() };
/// assert_eq!((found.place, found.gap.after, found.gap.length), (1, 1, 2));
/// ```
#[must_use]
pub fn gaps(recipe: &Recipe, layers: usize) -> Vec<RecipeGap> {
    let gap = |(place, from): (usize, &LayerExpr)| {
        let Expr::Take(of) = from else { return None };
        let length = next_layer(recipe, place, layers)?.checked_sub(of.layer + 1).filter(|length| *length > 0)?;
        Some(RecipeGap { place, model: of.model.clone(), gap: Gap { after: of.layer, length } })
    };
    recipe.layers.iter().map(|layer| &layer.from).enumerate().filter_map(gap).collect()
}

/// The layer of the models that comes next in a recipe, or how many `layers` they have behind its last one; [`None`] if
/// what comes next is made of several.
pub(super) fn next_layer(recipe: &Recipe, place: usize, layers: usize) -> Option<usize> {
    recipe.layers.get(place + 1).map_or(Some(layers), |layer| source_layer(&layer.from))
}

/// The layer of the models that an output layer is made of; [`None`] if it is made of several.
pub(super) fn source_layer(from: &LayerExpr) -> Option<usize> {
    match from {
        Expr::Take(of) => Some(of.layer),
        Expr::Merge(merge) => {
            let mut layers = merge.sources.iter().map(|source| source.of.layer);
            let first = layers.next()?;
            layers.all(|layer| layer == first).then_some(first)
        }
    }
}

/// Puts a refitted bridge before each gap of a recipe, and writes the bridges' files into `folder`. A bridge that a
/// layer has already is replaced.
///
/// The statistics of these gaps, of each model that one is of, are gathered from `calibration` (token ids, one list a
/// text) in one walk through the model; where `settings.memory_bytes` are too few for all its gaps, in several, of as
/// many gaps each as fit. Costs what [`Statistics::gather_gaps`] says.
///
/// # Errors
/// [`Error::Bridge`], of too little calibration text, of memory, or of a fit that cannot be solved; when a model cannot
/// be run or a file cannot be written.
pub fn bridge(
    runtime: &Runtime,
    recipe: &mut Recipe,
    calibration: &[Vec<u32>],
    settings: StatisticsSettings,
    ridges: &[f64],
    folder: &Path,
) -> Result<Vec<FittedBridge>, Error> {
    let family = runtime.family();
    let mut of_models: BTreeMap<String, Vec<RecipeGap>> = BTreeMap::new();
    for found in gaps(recipe, family.base().num_layers()) {
        of_models.entry(found.model.clone()).or_default().push(found);
    }
    let mut bridges = Vec::new();
    for (name, own) in of_models {
        let mut model = runtime.model(whole_model(family, &name).validate(family, &())?)?;
        for part in walks(&model, &GapSet::of(own.iter().map(|over| over.gap)), settings)? {
            let gaps: Vec<Gap> = part.iter().collect();
            let statistics = Statistics::gather_gaps(&mut model, calibration, &gaps, settings)?;
            for over in own.iter().filter(|over| gaps.contains(&over.gap)) {
                let fitted = statistics.refit(over.gap, ridges)?;
                let removed = over.gap.after + 1..=over.gap.after + over.gap.length;
                let sink = statistics.sinks().iter().find(|sink| removed.contains(&sink.layer)).copied();
                bridges.push(FittedBridge { over: over.clone(), fitted, sink });
            }
        }
    }
    bridges.sort_by_key(|bridge| bridge.over.place);
    // Only now that all is fitted, files are written.
    write_all(folder, recipe, &bridges, |bridge| Ok((bridge.over.place, Some(bridge.fitted.delta.write(folder)?))))?;
    Ok(bridges)
}

/// The gaps of a model in as few walks as the memory allows.
///
/// # Errors
/// [`FitError::Memory`] if the gaps behind one layer take too much.
fn walks(model: &RecipeModel, gaps: &GapSet, settings: StatisticsSettings) -> Result<Vec<GapSet>, FitError> {
    let (shape, batch) = (StatisticsShape::of(model, gaps), model.runtime().options().batch_tokens);
    let needed = |part: &GapSet| shape.needed(part, batch);
    let parts = gaps.parts(|part| needed(part) <= settings.memory_bytes);
    let largest = || {
        gaps.layers().map(|(after, lengths)| needed(&GapSet::of(lengths.iter().map(|&length| Gap { after, length }))))
    };
    parts.ok_or_else(|| FitError::Memory { needed: largest().max().unwrap_or(0), budget: settings.memory_bytes })
}
