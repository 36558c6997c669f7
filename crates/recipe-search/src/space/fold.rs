//! Folding: layers go, and each one that goes leaves its difference to a neighbour, by a coefficient of its own.
//!
//! A kept layer `i` becomes `W_i + Σ c_j (W_j − W_i)` over the removed layers `j` that follow it (those before the
//! first kept layer go to that one). With all coefficients 1 that is the step of LaCo (Yang et al., arXiv 2402.11187),
//! with all of them 0 plain removal; between them lies the folding of GPTailor's ablation (arXiv 2506.20480).
//!
//! | dimension | kind | there |
//! |---|---|---|
//! | `remove` | subset of the layers, of the sizes that the settings allow | always |
//! | `layer_L.source` | one of the models | while layer `L` stays, with [`FoldSettings::select`] |
//! | `model` | one of the models, for all layers | without it |
//! | `layer_L.coefficient` | float | while layer `L` is gone |
//! | `embedding`, `head` | one of the models | with [`OuterSetting::Search`] and [`FoldSettings::select`] |

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use layer_ir::{BaseRef, Expr, Family, LayerRef, Merge, Recipe};
use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Point, Space, SpaceStructure};

use super::parameterisation::{distinct_in, range, standing_for};
use super::prune::{ENDS, MAX_BYTES, MAX_PARAMETERS, REMOVE, SELECT};
use super::{OuterSetting, PruneSettings, PruneSpace, RecipeSpace, Remove, SpaceKind};
use crate::Error;

/// The merge method of a layer that others are folded into.
const MERGE: &str = "task_arithmetic";
/// The coefficients of the starting designs; the first is LaCo's. Plain removals are there as baselines.
const COEFFICIENTS: [f64; 3] = [1.0, 0.5, 0.25];

/// The parameters of a [`FoldSpace`].
#[derive(Debug, Clone, PartialEq)]
pub struct FoldSettings {
    /// How many layers go: a number, or a range `[least, most]`.
    pub remove: Remove,
    /// As of [`PruneSettings::max_parameters`].
    pub max_parameters: Option<u64>,
    /// As of [`PruneSettings::max_bytes`].
    pub max_bytes: Option<u64>,
    /// Range of the coefficients. Baselines, which fold nothing, are in the space where it holds 0.
    pub coefficient: [f64; 2],
    /// Whether each layer has a model of its own. Else all are those of one model.
    pub select: bool,
    /// Where embedding, final norm and head come from.
    pub outer: OuterSetting,
}

impl FoldSettings {
    /// The settings that remove so many layers, all else as in a study that says nothing of it.
    #[must_use]
    pub fn new(remove: Remove) -> Self {
        Self {
            remove,
            max_parameters: None,
            max_bytes: None,
            coefficient: [0.0, 1.0],
            select: true,
            outer: OuterSetting::Search,
        }
    }

    /// The settings that checked parameters say.
    fn of(settings: &Settings) -> Result<Self, Error> {
        let removal = PruneSettings::removal(settings, OuterSetting::Search)?;
        Ok(Self {
            max_parameters: removal.max_parameters,
            max_bytes: removal.max_bytes,
            coefficient: range(settings, "coefficient", "space.coefficient")?.unwrap_or([0.0, 1.0]),
            select: removal.select,
            outer: removal.outer,
            ..Self::new(removal.remove)
        })
    }

    /// The same removals without folding.
    fn plain(&self) -> PruneSettings {
        PruneSettings {
            max_parameters: self.max_parameters,
            max_bytes: self.max_bytes,
            select: self.select,
            merge: false,
            outer: self.outer,
            ..PruneSettings::new(self.remove)
        }
    }
}

/// What `[space]` may say.
const PARAMETERS: &[Parameter] = &[
    REMOVE,
    MAX_PARAMETERS,
    MAX_BYTES,
    Parameter::numbers("coefficient", f64::MIN, f64::MAX, "Range of the coefficient of a layer that goes.")
        .with_default_numbers(&[0.0, 1.0]),
    SELECT,
    ENDS,
];

/// The space of foldings over a family.
#[derive(Debug, Clone)]
pub struct FoldSpace {
    space: Space,
    /// The same removals without folding.
    plain: PruneSpace,
    /// The layers of the models.
    layers: usize,
    coefficient: [f64; 2],
}

impl FoldSpace {
    /// The space over `family` that `settings` describes.
    ///
    /// # Errors
    /// As of [`PruneSpace::new`].
    pub fn new(family: &Family, settings: &FoldSettings) -> Result<Self, Error> {
        Self::over(PruneSpace::new(family, &settings.plain())?, family.base().num_layers(), settings)
    }

    /// The foldings of the removals of a space over models of so many layers.
    fn over(plain: PruneSpace, layers: usize, settings: &FoldSettings) -> Result<Self, Error> {
        let [low, high] = settings.coefficient;
        let with_coefficient =
            |space: Space, layer| space.float(coefficient(layer), low..=high).when_inside("remove", layer);
        let space = (0..layers).fold(plain.space().clone(), with_coefficient).build()?;
        Ok(Self { space, plain, layers, coefficient: settings.coefficient })
    }

    /// A recipe without folding, with the removed layers folded into it.
    fn folded(&self, mut recipe: Recipe, coefficients: &BTreeMap<usize, f64>) -> Recipe {
        let kept: Vec<Option<LayerRef>> = recipe.layers.iter().map(|layer| source(&layer.from)).collect();
        for (place, layer) in recipe.layers.iter_mut().enumerate() {
            let Some(own) = &kept[place] else { continue };
            let first = if place == 0 { 0 } else { own.layer };
            let end = kept.get(place + 1).and_then(Option::as_ref).map_or(self.layers, |next| next.layer);
            let folded = (first..end)
                .filter(|layer| *layer != own.layer)
                .filter_map(|layer| Some((layer, *coefficients.get(&layer)?)));
            // A layer that leaves nothing makes no merge.
            let folded: Vec<(usize, f64)> = folded.filter(|(_, coefficient)| *coefficient != 0.0).collect();
            if !folded.is_empty() {
                layer.from = Expr::Merge(fold(own, &folded));
            }
        }
        recipe
    }
}

/// A layer with others folded into it, each by its coefficient.
fn fold(own: &LayerRef, folded: &[(usize, f64)]) -> Merge<LayerRef> {
    let base = Some(BaseRef { model: own.model.clone(), layer: Some(own.layer) });
    let add =
        |merge: Merge<_>, (layer, coefficient): &(usize, f64)| merge.weighted_source(&own.model, *layer, *coefficient);
    folded.iter().fold(Merge { base, ..Merge::new(MERGE) }, add)
}

/// The layer that an output layer is, with others folded into it or not.
fn source(from: &layer_ir::LayerExpr) -> Option<LayerRef> {
    match from {
        Expr::Take(of) => Some(of.clone()),
        Expr::Merge(merge) => {
            let base = merge.base.as_ref().filter(|_| merge.method == MERGE)?;
            Some(LayerRef { model: base.model.clone(), layer: base.layer? })
        }
    }
}

/// The dimension of a removed layer's coefficient.
fn coefficient(layer: usize) -> String {
    format!("layer_{layer}.coefficient")
}

/// The kind of space of this name.
pub(super) struct Fold;

impl Entry for Fold {
    fn name(&self) -> &str {
        "fold"
    }

    fn summary(&self) -> &str {
        "Folding: some layers go, and each leaves its difference to the kept layer before it, by its own coefficient."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl SpaceKind for Fold {
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        FoldSettings::of(settings).map(drop)
    }

    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        Ok(Box::new(FoldSpace::new(family, &FoldSettings::of(settings)?)?))
    }
}

impl RecipeSpace for FoldSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        let removed = point.subset("remove")?.iter();
        let coefficients = removed.map(|layer| Ok((*layer, point.float(&coefficient(*layer))?)));
        Ok(self.folded(self.plain.decode(point)?, &coefficients.collect::<Result<_, Error>>()?))
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let (mut plain, mut coefficients) = (recipe.clone(), BTreeMap::new());
        for (output, layer) in plain.layers.iter_mut().enumerate() {
            let reason = "it is merged otherwise than by folding layers into it";
            let own = source(&layer.from).ok_or(Error::NotInSpace { layer: output, reason })?;
            if let Expr::Merge(merge) = &layer.from {
                for source in &merge.sources {
                    let weight = source.parameters.number("weight", "").ok().flatten();
                    coefficients.insert(source.of.layer, weight.unwrap_or(1.0));
                }
            }
            layer.from = Expr::Take(own);
        }
        let mut point = self.plain.encode(&plain)?;
        let [low, high] = self.coefficient;
        for layer in point.subset("remove")?.to_vec() {
            let folded = coefficients.get(&layer).copied().unwrap_or(0_f64.max(low).min(high));
            point = point.with_float(coefficient(layer), folded);
        }
        let point = self.space.canonical(&point)?;
        standing_for(self, point, recipe)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        self.plain.layers()
    }

    /// The designs without folding, each folded with the same coefficient everywhere.
    fn designs(&self, baselines: &[Recipe], sink_makers: &BTreeSet<usize>) -> Vec<Recipe> {
        let plain = self.plain.designs(baselines, sink_makers);
        let [low, high] = self.coefficient;
        let all = |coefficient: f64| (0..self.layers).map(move |layer| (layer, coefficient.max(low).min(high)));
        let folded = COEFFICIENTS.iter().flat_map(|coefficient| {
            let coefficients = all(*coefficient).collect();
            plain.iter().map(|recipe| self.folded(recipe.clone(), &coefficients)).collect::<Vec<_>>()
        });
        distinct_in(self, folded.collect())
    }

    fn structure(&self) -> SpaceStructure {
        self.plain.structure()
    }
}

#[cfg(test)]
mod tests;
