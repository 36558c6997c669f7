//! Layer-wise fusion: equal groups of neighbouring layers, each merged from all variants by a method of its own.
//!
//! No layer goes. A group has a number for each set of tensors: those that a filter fits, each filter by itself, and
//! all others (`base`: the norms, and with the first and the last group the embedding, the final norm and the head).
//! Akiba et al. call it merging in the parameter space; this form is that of "Fine, I'll Merge It Myself"
//! (arXiv 2502.04030).
//!
//! | dimension | kind | there |
//! |---|---|---|
//! | `group_G.method` | one of the methods | always |
//! | `group_G.linear.SET.MODEL` | float, 0 to 1: the model's weight | where it is `linear`, of several variants |
//! | `group_G.task_arithmetic.SET` | float: the coefficient | where it is `task_arithmetic` |
//! | `group_G.ties.SET` | float: the coefficient | where it is `ties` |
//! | `group_G.ties.SET.mask_rate` | float: the share that is left out | where it is `ties` |
//! | `group_G.slerp.models` | two of the variants | where it is `slerp` |
//! | `group_G.slerp.SET` | float, 0 to 1: the place between them | where it is `slerp` |
//!
//! In the reference's parameterisation all parameters of all methods are always there (`reference.rs`).

mod group;
mod reference;
mod settings;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use layer_ir::gptailor::{Context, Fusion, GroupMerge};
use layer_ir::{Family, Recipe};
use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Point, Space, SpaceStructure, Value};

use super::parameterisation::{Parameterisation, context, distinct_in, standing_for, with_prefix_price};
use super::{RecipeSpace, SpaceKind};
use crate::Error;
use group::{Dimensions, mixture};
pub use settings::LfsSettings;
use settings::PARAMETERS;

/// The space of layer-wise fusion over a family.
#[derive(Debug, Clone)]
pub struct LfsSpace {
    space: Space,
    context: Context,
    layers: usize,
    settings: LfsSettings,
    /// The dimensions of each group, of our own parameterisation.
    dimensions: Dimensions,
}

impl LfsSpace {
    /// The space over `family` that `settings` describes.
    ///
    /// # Errors
    /// [`Error::StudyValue`] without variants, or when the layers cannot be divided into the groups evenly.
    pub fn new(family: &Family, settings: &LfsSettings) -> Result<Self, Error> {
        Self::over(context(family)?, family.base().num_layers(), settings)
    }

    /// The space over a base of so many layers and the candidates of `context`.
    fn over(mut context: Context, layers: usize, settings: &LfsSettings) -> Result<Self, Error> {
        settings.check_layers(layers)?;
        context.filters = Some(settings.filters.clone());
        context.layers = Some(layers);
        let dimensions = Dimensions::of(settings, &context.candidates);
        let space = match settings.parameterisation {
            Parameterisation::Own => dimensions.space(settings),
            Parameterisation::Reference => reference::space(settings, &context.candidates),
        };
        Ok(Self { space: space.build()?, context, layers, settings: settings.clone(), dimensions })
    }

    /// The recipe of some groups.
    fn recipe(&self, groups: Vec<GroupMerge>) -> Result<Recipe, Error> {
        let fusion = Fusion { filters: self.settings.filters.clone(), groups };
        // Checked when the space was opened.
        fusion.recipe(&self.context, self.layers).ok_or_else(|| self.settings.uneven(self.layers))
    }

    /// The same merge of every group.
    fn uniform(&self, merge: GroupMerge) -> Option<Recipe> {
        self.recipe(vec![merge; self.settings.groups]).ok()
    }

    /// Each variant by itself; then, in our own parameterisation, even merges by each method.
    fn uniform_merges(&self) -> Vec<GroupMerge> {
        let (models, sets) = (self.context.candidates.len(), self.settings.filters.len() + 1);
        let weights = |of: &dyn Fn(usize) -> f64| (0..models).map(|model| vec![of(model); sets]).collect();
        let mut merges: Vec<GroupMerge> = (0..models)
            .map(|one| GroupMerge::Linear { weights: weights(&|model| f64::from(u8::from(model == one))) })
            .collect();
        if self.settings.parameterisation == Parameterisation::Reference {
            return merges;
        }
        merges.push(GroupMerge::Linear { weights: weights(&|_| 1.0) });
        let [low, high] = self.settings.coefficient;
        for coefficient in [0.5, 0.3, 0.7, 1.0].map(|coefficient: f64| coefficient.max(low).min(high)) {
            let coefficients = vec![coefficient; sets];
            merges.push(GroupMerge::TaskArithmetic { coefficients: coefficients.clone() });
            merges.push(GroupMerge::Ties { coefficients, mask_rates: vec![0.5; sets] });
        }
        let pairs = (0..models).flat_map(|first| (first + 1..models).map(move |second| [first, second]));
        merges.extend(pairs.map(|candidates| GroupMerge::Slerp { candidates, places: vec![0.5; sets] }));
        merges
    }
}

/// The kind of space of this name.
pub(super) struct Lfs;

impl Entry for Lfs {
    fn name(&self) -> &str {
        "lfs"
    }

    fn summary(&self) -> &str {
        "Layer-wise fusion: each group of layers is merged from all variants, by a method and numbers of its own."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl SpaceKind for Lfs {
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        LfsSettings::of(settings).map(drop)
    }

    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        Ok(Box::new(LfsSpace::new(family, &LfsSettings::of(settings)?)?))
    }
}

impl RecipeSpace for LfsSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        match self.settings.parameterisation {
            Parameterisation::Reference => reference::decode(point, &self.context),
            Parameterisation::Own => {
                let of_group = |group| self.dimensions.merge(&|name| point.get(&format!("group_{group}.{name}")));
                self.recipe((0..self.settings.groups).map(of_group).collect::<Result<_, Error>>()?)
            }
        }
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let no = |reason| Error::NotInSpace { layer: 0, reason };
        let fusion = Fusion::of(recipe, &self.context, &self.settings.filters, self.settings.groups);
        let fusion = fusion.ok_or_else(|| no("its groups are not merged from all variants"))?;
        let point = match self.settings.parameterisation {
            Parameterisation::Reference => reference::encode(&fusion, &self.settings, &self.context.candidates),
            Parameterisation::Own => {
                let groups = fusion.groups.iter().enumerate();
                groups.fold(Point::new(), |point, (group, merge)| {
                    let values = self.dimensions.values(merge).into_iter();
                    values.fold(point, |point, (name, value)| point.with(format!("group_{group}.{name}"), value))
                })
            }
        };
        let point = self.space.canonical(&point)?;
        standing_for(self, point, recipe)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        Some(self.layers..=self.layers)
    }

    fn designs(&self, _: &[Recipe], _: &BTreeSet<usize>) -> Vec<Recipe> {
        distinct_in(self, self.uniform_merges().into_iter().filter_map(|merge| self.uniform(merge)).collect())
    }

    fn structure(&self) -> SpaceStructure {
        let names = |group: usize| {
            let prefix = format!("group_{group}.");
            let of_group = self.space.dimensions().iter().filter(|dimension| dimension.name.starts_with(&prefix));
            of_group.map(|dimension| dimension.name.clone()).collect()
        };
        let structure = match self.settings.parameterisation {
            Parameterisation::Reference => return SpaceStructure::new(),
            Parameterisation::Own => {
                let dimensions = self.dimensions.clone();
                SpaceStructure::new().with_embedding(move |values: &[Option<Value>]| mixture(&dimensions, values))
            }
        };
        with_prefix_price(structure, (0..self.settings.groups).map(names).collect())
    }
}

#[cfg(test)]
mod tests;
