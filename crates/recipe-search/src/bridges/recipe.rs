//! Bridges over the gaps of a recipe.

use std::collections::BTreeMap;
use std::path::Path;

use layer_ir::{Expr, LayerExpr, Recipe};
use layer_runtime::Runtime;

use super::{FittedDelta, Gap, Statistics, StatisticsSettings};
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
/// The statistics of each model that a gap is of are gathered from `calibration` (token ids, one list a text) in one
/// walk through the whole model; `settings.largest_gap` is set to the longest gap. Costs what [`Statistics::gather`]
/// says, for each of these models.
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
    let gaps = gaps(recipe, family.base().num_layers());
    let largest_gap = gaps.iter().map(|found| found.gap.length).max().unwrap_or(1);
    let mut of_models: BTreeMap<String, Vec<RecipeGap>> = BTreeMap::new();
    for found in gaps {
        of_models.entry(found.model.clone()).or_default().push(found);
    }
    let mut bridges = Vec::new();
    for (name, gaps) in of_models {
        let mut model = runtime.model(whole_model(family, &name).validate(family, &())?)?;
        let settings = StatisticsSettings { largest_gap, ..settings };
        let statistics = Statistics::gather(&mut model, calibration, settings)?;
        for over in gaps {
            let fitted = statistics.refit(over.gap, ridges)?;
            recipe.layers[over.place].bridge = Some(fitted.delta.write(folder)?);
            bridges.push(FittedBridge { over, fitted });
        }
    }
    bridges.sort_by_key(|bridge| bridge.over.place);
    Ok(bridges)
}
