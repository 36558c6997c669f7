//! Depth-wise integration: at each position of the base, layers of several models may stand one behind the other.
//!
//! After "Fine, I'll Merge It Myself" (arXiv 2502.04030): a position is an ordered set of the variants, whose layers of
//! that position are stacked; an empty one is the base's layer. So no position goes, and the model may become deeper
//! than its base, up to a number of layers. The embedding is that of the first layer's model, final norm and head those
//! of the last layer's.
//!
//! | dimension | kind | there |
//! |---|---|---|
//! | `layer_L.stack` | the base, or variants in an order | always |
//! | `layer_L.scale` | float: the factor behind the position's last layer | always, unless the range is one number |
//!
//! The stacks are limited together ([`zo_search::Constraint::AtMost`]): a point with too many layers is no point of the
//! space. The reference gives such points the worst cost; there a random point nearly always is one. In its
//! parameterisation (`reference.rs`), where no constraint can say it, positions of a point that is too deep are cut to
//! their first layer, in an order that the point alone decides, until it is not.

mod reference;
mod settings;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use layer_ir::gptailor::{Context, Stack, Stacking};
use layer_ir::{Family, Recipe};
use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Point, Space, SpaceStructure, Value};

use super::parameterisation::{Parameterisation, context, distinct_in, standing_for, with_prefix_price};
use super::{RecipeSpace, SpaceKind};
use crate::Error;
use settings::PARAMETERS;
pub use settings::{DisSettings, ScaleSite};

/// The space of depth-wise integration over a family.
#[derive(Debug, Clone)]
pub struct DisSpace {
    space: Space,
    context: Context,
    /// The base's layers.
    layers: usize,
    settings: DisSettings,
    /// At most so many layers stand in a recipe.
    most: usize,
    /// What a position may be, the base first: names, and the candidates' numbers in their order.
    choices: Vec<(String, Vec<usize>)>,
}

impl DisSpace {
    /// The space over `family` that `settings` describes.
    ///
    /// # Errors
    /// [`Error::StudyValue`] without variants, with fewer layers than the base has, or with more fixed layers than
    /// leave a position.
    pub fn new(family: &Family, settings: &DisSettings) -> Result<Self, Error> {
        Self::over(context(family)?, family.base().num_layers(), settings)
    }

    /// The space over a base of so many layers and the candidates of `context`.
    fn over(mut context: Context, layers: usize, settings: &DisSettings) -> Result<Self, Error> {
        let most = settings.most_layers(layers, context.candidates.len())?;
        context.fixed_layers = settings.fix_layers;
        context.layers = Some(layers);
        context.scale_site = settings.scale_site.into();
        let choices = choices(&context.base, &context.candidates);
        let mut space = Self { space: Space::new(), context, layers, settings: settings.clone(), most, choices };
        space.space = match settings.parameterisation {
            Parameterisation::Own => space.own_dimensions().build()?,
            Parameterisation::Reference => {
                reference::space(settings, space.positions().len(), space.context.candidates.len()).build()?
            }
        };
        Ok(space)
    }

    /// The layers of the base that may become stacks.
    fn positions(&self) -> std::ops::Range<usize> {
        self.settings.fix_layers..self.layers - self.settings.fix_layers
    }

    /// Our own dimensions.
    fn own_dimensions(&self) -> Space {
        let [low, high] = self.settings.scales();
        let mut space = Space::new();
        for layer in self.positions() {
            let bundle = format!("layer_{layer}");
            let names = self.choices.iter().map(|(name, _)| name.clone());
            space = space.categorical(stack_name(layer), names).in_bundle(&bundle);
            if low < high {
                space = space.float(scale_name(layer), low..=high).in_bundle(&bundle);
            }
        }
        let more: Vec<usize> = self.choices.iter().map(|(_, stack)| stack.len().saturating_sub(1)).collect();
        let deepest = self.layers + self.positions().len() * more.iter().max().copied().unwrap_or(0);
        if self.most >= deepest {
            return space;
        }
        space.at_most(self.positions().map(stack_name), more, self.most - self.layers)
    }

    /// The stacks that a point of our own dimensions stands for.
    fn stacking(&self, point: &Point) -> Result<Stacking, Error> {
        let [low, high] = self.settings.scales();
        let stack = |layer| {
            let name = point.categorical(&stack_name(layer))?;
            let candidates = self.choices.iter().find(|(choice, _)| choice == name).map(|(_, stack)| stack.clone());
            let scale = if low < high { point.float(&scale_name(layer))? } else { low };
            Ok(Stack { candidates: candidates.unwrap_or_default(), scale })
        };
        Ok(Stacking { positions: self.positions().map(stack).collect::<Result<_, Error>>()? })
    }

    /// The point of our own dimensions that stands for some stacks.
    fn own_point(&self, stacking: &Stacking) -> Point {
        let [low, high] = self.settings.scales();
        let stacks = self.positions().zip(&stacking.positions);
        stacks.fold(Point::new(), |point, (layer, stack)| {
            let name = self.choices.iter().find(|(_, choice)| *choice == stack.candidates);
            let point = name
                .into_iter()
                .fold(point, |point, (name, _)| point.with_categorical(stack_name(layer), name.clone()));
            if low < high { point.with_float(scale_name(layer), stack.scale) } else { point }
        })
    }

    /// The same stack at every position, and another one at some.
    fn uniform(&self, stack: &[usize], at: &dyn Fn(usize) -> bool, other: &[usize]) -> Recipe {
        let [low, high] = self.settings.scales();
        let of = |layer| if at(layer) { other.to_vec() } else { stack.to_vec() };
        let positions = self.positions().map(|layer| Stack { candidates: of(layer), scale: 1_f64.max(low).min(high) });
        Stacking { positions: positions.collect() }.recipe(&self.context)
    }

    /// Each variant everywhere; in our own parameterisation also the base, and each variant with a second one stacked
    /// on as many positions as there may be: in a row in the middle, or spread over all.
    fn uniform_stacks(&self) -> Vec<Recipe> {
        let models = self.context.candidates.len();
        let mut designs: Vec<Recipe> = (0..models).map(|model| self.uniform(&[model], &|_| false, &[])).collect();
        if self.settings.parameterisation == Parameterisation::Reference {
            return designs;
        }
        designs.push(self.uniform(&[], &|_| false, &[]));
        let (positions, more) = (self.positions(), self.most - self.layers);
        let more = more.min(positions.len());
        let first = positions.start + (positions.len() - more) / 2;
        let in_a_row = move |layer: usize| (first..first + more).contains(&layer);
        let spread = move |layer: usize| {
            let place = layer - positions.start;
            place * more / positions.len() != (place + 1) * more / positions.len()
        };
        for at in [&in_a_row as &dyn Fn(usize) -> bool, &spread] {
            for model in 0..models {
                for other in (0..models).filter(|other| *other != model) {
                    designs.push(self.uniform(&[model], at, &[model, other]));
                }
            }
        }
        designs
    }
}

/// The dimension of what stands at a position.
fn stack_name(layer: usize) -> String {
    format!("layer_{layer}.stack")
}

/// The dimension of the factor behind it.
fn scale_name(layer: usize) -> String {
    format!("layer_{layer}.scale")
}

/// What a position may be: the base, or each ordered set of candidates, smaller ones first.
fn choices(base: &str, candidates: &[String]) -> Vec<(String, Vec<usize>)> {
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    let mut first = 0;
    while first < sets.len() {
        let set = sets[first].clone();
        let next = (0..candidates.len()).filter(|candidate| !set.contains(candidate));
        sets.extend(next.map(|candidate| [set.as_slice(), &[candidate]].concat()));
        first += 1;
    }
    let name = |set: &[usize]| match set {
        [] => base.to_owned(),
        set => set.iter().map(|candidate| candidates[*candidate].as_str()).collect::<Vec<_>>().join(" > "),
    };
    sets.into_iter().map(|set| (name(&set), set)).collect()
}

/// The kind of space of this name.
pub(super) struct Dis;

impl Entry for Dis {
    fn name(&self) -> &str {
        "dis"
    }

    fn summary(&self) -> &str {
        "Depth-wise integration: at each position, layers of several models may be stacked, with a scale behind them."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl SpaceKind for Dis {
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        DisSettings::of(settings).map(drop)
    }

    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        Ok(Box::new(DisSpace::new(family, &DisSettings::of(settings)?)?))
    }
}

impl RecipeSpace for DisSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        match self.settings.parameterisation {
            Parameterisation::Reference => reference::decode(point, &self.context, self.most),
            Parameterisation::Own => Ok(self.stacking(point)?.recipe(&self.context)),
        }
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let reason = "its layers are not stacks of the variants' layers";
        let stacking = Stacking::of(recipe, &self.context).ok_or(Error::NotInSpace { layer: 0, reason })?;
        let point = match self.settings.parameterisation {
            Parameterisation::Reference => reference::encode(&stacking, self.context.candidates.len()),
            Parameterisation::Own => self.own_point(&stacking),
        };
        let point = self.space.canonical(&point)?;
        standing_for(self, point, recipe)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        Some(self.layers..=self.most)
    }

    fn designs(&self, _: &[Recipe], _: &BTreeSet<usize>) -> Vec<Recipe> {
        distinct_in(self, self.uniform_stacks())
    }

    fn structure(&self) -> SpaceStructure {
        if self.settings.parameterisation == Parameterisation::Reference {
            return SpaceStructure::new();
        }
        let (choices, models) = (self.choices.clone(), self.context.candidates.len());
        let structure = SpaceStructure::new().with_embedding(move |values| embedding(&choices, models, values));
        with_prefix_price(structure, self.positions().map(|layer| vec![stack_name(layer), scale_name(layer)]).collect())
    }
}

/// A stack as a vector: which candidates stand in it, which one stands last, and the scale. Stacks that have models in
/// common are nearer than others.
fn embedding(choices: &[(String, Vec<usize>)], models: usize, values: &[Option<Value>]) -> Vec<f64> {
    let stack = match values.first() {
        Some(Some(Value::Categorical(name))) => choices.iter().find(|(choice, _)| choice == name),
        _ => None,
    };
    let stack = stack.map_or(&[][..], |(_, stack)| stack.as_slice());
    let there = (0..models).map(|model| if stack.contains(&model) { 0.7 } else { 0.0 });
    let last = (0..models).map(|model| if stack.last() == Some(&model) { 0.5 } else { 0.0 });
    let scale = match values.get(1) {
        Some(Some(Value::Float(scale))) => Some(*scale),
        _ => None,
    };
    there.chain(last).chain(scale).collect()
}

#[cfg(test)]
mod tests;
