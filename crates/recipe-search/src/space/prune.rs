//! The GPTailor prune space: `k` layers go, each remaining one is taken from a model or merged from several.
//!
//! Point to recipe as the Python reference decodes it (auto-merge-llm, `generate_genotype`), but for a subset
//! dimension in place of `k` integers that must differ: for each kept layer, no candidate means the base's layer,
//! one that model's, several their task arithmetic
//! `W = B + c · Σ (W_m − B)`.
//!
//! | dimension | kind | there |
//! |---|---|---|
//! | `remove` | subset of the layers, of the sizes that the settings allow | always |
//! | `layer_L.sources` | mask over the variants | while layer `L` stays |
//! | `layer_L.coefficient` | float | while two or more are chosen |
//! | `layer_L.scale` | float | while layer `L` stays, with [`PruneSettings::scales`] |
//! | `embedding`, `head` | one of the models, or the mean of the variants | with [`OuterSetting::Search`] |
//!
//! The paper's ablations: without [`PruneSettings::merge`] a layer has `layer_L.source`, one of the models, in place of
//! sources and coefficient, and the ends are no mean; without [`PruneSettings::select`] there is one `model` that all
//! layers and ends come from. What a study without variants leaves no choice of has no dimension.

mod decode;
mod designs;
mod encode;
mod reference;
mod removal_orders;
mod settings;
mod structure;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use layer_ir::{Family, Recipe};
use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Point, Space, SpaceStructure};

pub(crate) use designs::spread;
pub use reference::ReferencePrune;
pub use removal_orders::{RemovalOrder, removal_orders};
pub(super) use settings::{ENDS, MAX_BYTES, MAX_PARAMETERS, REMOVE, SELECT};
pub use settings::{OuterSetting, PruneSettings, Remove};

use super::parameterisation::{Parameterisation, distinct};
use super::{RecipeSpace, SpaceKind, SpaceSettings};
use crate::Error;
use settings::{PARAMETERS, Selection};

/// The merge method of a layer with several candidates.
const MERGE: &str = "gptailor_task_arithmetic";
/// The dimension of the one model that all layers come from.
const MODEL: &str = "model";
/// The choice of outer tensors that are the mean of all variants.
const MEAN: &str = "mean";

/// The GPTailor prune space over a family, in our own parameterisation whatever the settings say;
/// [`ReferencePrune`] has the other one.
#[derive(Debug, Clone)]
pub struct PruneSpace {
    /// The dimensions.
    space: Space,
    /// The whole base, the frame of every recipe.
    whole: Recipe,
    /// The names of the other models, in the order of the study: the bits of each layer's mask.
    variants: Vec<String>,
    /// How many layers may go.
    sizes: RangeInclusive<usize>,
    settings: PruneSettings,
}

impl PruneSpace {
    /// The space over `family` that `settings` describes.
    ///
    /// # Errors
    /// What [`PruneSettings::removals`] says; when zo-search refuses a dimension.
    pub fn new(family: &Family, settings: &PruneSettings) -> Result<Self, Error> {
        let variants = family.names().filter(|name| *name != family.base_name()).map(str::to_string).collect();
        let sizes = settings.removals(family.base())?;
        Self::over(crate::baselines::whole_model(family, family.base_name()), variants, sizes, settings)
    }

    /// The space over a base of which `whole` is all, and the variants of these names; `sizes` layers may go.
    fn over(
        mut whole: Recipe,
        variants: Vec<String>,
        sizes: RangeInclusive<usize>,
        settings: &PruneSettings,
    ) -> Result<Self, Error> {
        let layers = whole.layers.len();
        let mut space = Space::new().subset_of_sizes("remove", layers, sizes.clone());
        for layer in 0..layers {
            let name = |what: &str| dimension(layer, what);
            let bundle = format!("layer_{layer}");
            space = with_sources(space, layer, &whole.base, &variants, settings);
            if let Some([low, high]) = settings.scales {
                space = space.float(name("scale"), low..=high).when_outside("remove", layer).in_bundle(&bundle);
            }
        }
        if settings.selection() == Selection::Whole && !variants.is_empty() {
            space = space.categorical(MODEL, models(&whole.base, &variants));
        } else if settings.outer == OuterSetting::Search && !variants.is_empty() {
            let choices = outer_choices(&whole.base, &variants, settings);
            space = space.categorical("embedding", choices.clone()).categorical("head", choices);
        }
        whole.base_at = settings.base_at;
        Ok(Self { space: space.build()?, whole, variants, sizes, settings: settings.clone() })
    }
}

/// The name of one of a layer's dimensions: `sources`, `source`, `coefficient` or `scale`.
fn dimension(layer: usize, what: &str) -> String {
    format!("layer_{layer}.{what}")
}

/// The space with the dimensions that say which models a layer is made of.
fn with_sources(space: Space, layer: usize, base: &str, variants: &[String], settings: &PruneSettings) -> Space {
    let (name, bundle) = (|what: &str| dimension(layer, what), format!("layer_{layer}"));
    match settings.selection() {
        _ if variants.is_empty() => space,
        Selection::Whole => space,
        Selection::Each => {
            space.categorical(name("source"), models(base, variants)).when_outside("remove", layer).in_bundle(bundle)
        }
        Selection::Merged => {
            let space = space.mask(name("sources"), variants.len()).when_outside("remove", layer).in_bundle(&bundle);
            // A single variant is taken or not.
            if variants.len() < 2 {
                return space;
            }
            let [low, high] = settings.coefficient;
            space.float(name("coefficient"), low..=high).when_at_least(name("sources"), 2).in_bundle(bundle)
        }
    }
}

/// All models, the base first.
fn models(base: &str, variants: &[String]) -> Vec<String> {
    std::iter::once(base.to_owned()).chain(variants.iter().cloned()).collect()
}

/// What an outer tensor may be: any model's, or where several variants may be merged, their mean.
fn outer_choices(base: &str, variants: &[String], settings: &PruneSettings) -> Vec<String> {
    let mean = (variants.len() > 1 && settings.merge).then(|| MEAN.to_string());
    models(base, variants).into_iter().chain(mean).collect()
}

/// The kind of space of this name.
pub(super) struct Prune;

impl Entry for Prune {
    fn name(&self) -> &str {
        "prune"
    }

    fn summary(&self) -> &str {
        "GPTailor's prune space: some layers go, each other one is taken from a model or merged from several."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl SpaceKind for Prune {
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        PruneSettings::of(settings).map(drop)
    }

    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        let settings = PruneSettings::of(settings)?;
        let own = PruneSpace::new(family, &settings)?;
        Ok(match settings.parameterisation {
            Parameterisation::Own => Box::new(own),
            Parameterisation::Reference => Box::new(ReferencePrune::new(own)?),
        })
    }
}

impl RecipeSpace for PruneSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        self.recipe(point)
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        self.point(recipe)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        let layers = self.whole.layers.len();
        Some(layers - self.sizes.end()..=layers - self.sizes.start())
    }

    fn designs(&self, baselines: &[Recipe], sink_makers: &BTreeSet<usize>) -> Vec<Recipe> {
        self.uniform_designs(baselines, sink_makers)
    }

    fn structure(&self) -> SpaceStructure {
        self.layer_structure()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A space over a base of 8 layers and three variants.
    pub fn space(settings: PruneSettings) -> Result<PruneSpace, Error> {
        space_of(&["math", "code", "chat"], 8, settings)
    }

    pub fn space_of(variants: &[&str], layers: usize, settings: PruneSettings) -> Result<PruneSpace, Error> {
        let models = std::iter::once(&"base").chain(variants).map(|name| (name.to_string(), name.to_string()));
        let whole = Recipe::of_base(models.collect(), "base", layers);
        let sizes = settings.remove.least()..=settings.remove.most();
        PruneSpace::over(whole, variants.iter().map(ToString::to_string).collect(), sizes, &settings)
    }

    /// Two layers go.
    pub fn settings(outer: OuterSetting) -> PruneSettings {
        PruneSettings { outer, ..PruneSettings::new(Remove::Exactly(2)) }
    }

    #[test]
    fn the_prune_space_keeps_the_laws_of_a_space() -> Result<(), crate::testing::BrokenSpace> {
        for outer in [OuterSetting::Search, OuterSetting::Follow, OuterSetting::Base] {
            for scales in [None, Some([0.5, 1.5])] {
                let remove = Remove::Between([1, 5]);
                crate::testing::check_space(&space(PruneSettings { remove, scales, ..settings(outer) })?)?;
            }
        }
        Ok(())
    }

    #[test]
    fn the_ablations_and_a_single_model_keep_the_laws_of_a_space() -> Result<(), crate::testing::BrokenSpace> {
        for variants in [["math", "code", "chat"].as_slice(), &["math"], &[]] {
            for outer in [OuterSetting::Search, OuterSetting::Follow, OuterSetting::Base] {
                for (select, merge) in [(false, true), (false, false), (true, false), (true, true)] {
                    for scales in [None, Some([0.5, 1.5])] {
                        let settings = PruneSettings { scales, select, merge, ..settings(outer) };
                        crate::testing::check_space(&space_of(variants, 8, settings)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn an_ablation_has_the_dimensions_that_it_leaves() -> Result<(), Error> {
        let names = |variants: &[&str], select, merge| -> Result<Vec<String>, Error> {
            let settings = PruneSettings { select, merge, ..settings(OuterSetting::Search) };
            let space = space_of(variants, 8, settings)?;
            let mut names: Vec<String> = space.space().dimensions().iter().map(|d| d.name.clone()).collect();
            names.retain(|name| !name.starts_with("layer_") || name.starts_with("layer_7"));
            Ok(names)
        };
        let variants = ["math", "code"];
        assert_eq!(names(&variants, true, false)?, ["remove", "layer_7.source", "embedding", "head"]);
        assert_eq!(names(&variants, false, true)?, ["remove", "model"]);
        assert_eq!(names(&[], true, true)?, ["remove"]);
        // Without merging nothing is merged, the ends neither.
        let space = space_of(&variants, 8, PruneSettings { merge: false, ..settings(OuterSetting::Search) })?;
        for design in space.designs(&[], &BTreeSet::new()) {
            assert!(design.layers.iter().all(|layer| matches!(layer.from, layer_ir::Expr::Take(_))));
        }
        assert!(space.encode(&space.uniform(&[3, 4], &["math", "code"], 0.5)).is_err());
        Ok(())
    }

    #[test]
    fn a_range_of_removals_is_a_free_size_and_all_of_it_can_be_said() -> Result<(), Error> {
        let space = space(PruneSettings { remove: Remove::Between([1, 5]), ..settings(OuterSetting::Search) })?;
        let mut sizes = HashSet::new();
        for seed in 0..60 {
            let mut random = zo_search::generator(seed, "test", zo_search::TrialId(0));
            let recipe = space.decode(&space.space().sample(&mut random)?)?;
            sizes.insert(8 - recipe.layers.len());
            assert_eq!(space.decode(&space.encode(&recipe)?)?, recipe);
        }
        assert_eq!(sizes, (1..=5).collect());
        assert!(space.encode(&space.uniform(&[1, 2, 3, 4, 5, 6], &[], 1.0)).is_err());
        assert!(space.encode(&space.uniform(&[], &[], 1.0)).is_err());
        let designed: HashSet<usize> =
            space.designs(&[], &BTreeSet::new()).iter().map(|recipe| 8 - recipe.layers.len()).collect();
        assert_eq!(designed, HashSet::from([1, 3, 5]));
        Ok(())
    }
}
