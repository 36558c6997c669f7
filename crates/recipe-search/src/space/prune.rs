//! The GPTailor prune space: `k` layers go, each remaining one is taken from a model or merged from several.
//!
//! Point to recipe as the Python reference decodes it (auto-merge-llm, `generate_genotype`), but for a subset
//! dimension in place of `k` integers that must differ: for each kept layer, no candidate means the base's layer,
//! one that model's, several their task arithmetic
//! `W = B + c · Σ (W_m − B)`.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use layer_ir::{
    BaseRef, EndExpr, Ends, Expr, Family, LayerExpr, LayerRef, Merge, ModelRef, OutputLayer, Parameters, Recipe, Source,
};
use merge_ops::Registry;
use zo_search::{Point, Space, SpaceStructure, Value};

use tailor_registry::{Entry, Parameter, Settings};

use super::prune_settings::PARAMETERS;
use super::{EndsSetting, PruneSettings, RecipeSpace, SpaceKind, removal_orders};
use crate::Error;

/// The merge method of a layer with several candidates.
const MERGE: &str = "gptailor_task_arithmetic";
/// The end that is the mean of all variants.
const MEAN: &str = "mean";
/// From how many baselines of each number of layers the designs take their removals.
const BEST_REMOVALS: usize = 3;
/// Task-arithmetic coefficients of the starting designs (of the reference's grid, those that differ as models).
const DESIGN_COEFFICIENTS: [f64; 4] = [0.5, 0.3, 0.7, 1.0];

/// How much the price of a proposal counts against what it promises: the power of the price by which that is divided.
const COST_EXPONENT: f64 = 0.3;

/// The GPTailor prune space over a family.
#[derive(Debug, Clone)]
pub struct PruneSpace {
    space: Space,
    /// The whole base, the frame of every recipe.
    whole: Recipe,
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

    fn over(
        mut whole: Recipe,
        variants: Vec<String>,
        sizes: RangeInclusive<usize>,
        settings: &PruneSettings,
    ) -> Result<Self, Error> {
        let layers = whole.layers.len();
        let [low, high] = settings.coefficient;
        let mut space = Space::new().subset_of_sizes("remove", layers, sizes.clone());
        for layer in 0..layers {
            let name = |what: &str| format!("layer_{layer}.{what}");
            let bundle = format!("layer_{layer}");
            space = space.mask(name("sources"), variants.len()).when_outside("remove", layer).in_bundle(&bundle);
            // A single variant is taken or not.
            if variants.len() >= 2 {
                space =
                    space.float(name("coefficient"), low..=high).when_at_least(name("sources"), 2).in_bundle(&bundle);
            }
            if let Some([low, high]) = settings.scales {
                space = space.float(name("scale"), low..=high).when_outside("remove", layer).in_bundle(&bundle);
            }
        }
        if settings.ends == EndsSetting::Search {
            let choices = end_choices(&whole.base, &variants);
            space = space.categorical("embedding", choices.clone()).categorical("head", choices);
        }
        whole.base_at = settings.base_at;
        Ok(Self { space: space.build()?, whole, variants, sizes, settings: settings.clone() })
    }

    fn layer(&self, point: &Point, layer: usize) -> Result<OutputLayer, Error> {
        let name = |what: &str| format!("layer_{layer}.{what}");
        let mask = point.mask(&name("sources"))?;
        let models: Vec<&str> =
            self.variants.iter().zip(mask).filter(|(_, chosen)| **chosen).map(|(name, _)| name.as_str()).collect();
        let coefficient = if models.len() >= 2 { point.float(&name("coefficient"))? } else { 1.0 };
        let scale = if self.settings.scales.is_some() { point.float(&name("scale"))? as f32 } else { 1.0 };
        Ok(OutputLayer { from: self.expression(&models, coefficient, layer), scale })
    }

    fn expression(&self, models: &[&str], coefficient: f64, layer: usize) -> LayerExpr {
        let at = |model: &str| LayerRef { model: model.to_string(), layer };
        match models {
            [] => Expr::Take(at(&self.whole.base)),
            [model] => Expr::Take(at(model)),
            _ => Expr::Merge(task_arithmetic(&self.whole.base, models.iter().map(|model| at(model)), coefficient)),
        }
    }

    /// The ends that a categorical choice stands for.
    fn end(&self, choice: &str) -> EndExpr {
        let at = |model: &String| ModelRef { model: model.clone() };
        if choice == MEAN {
            let mut weight = Parameters::default();
            weight.set("weight", 1.0);
            let source = |model| Source { of: at(model), parameters: weight.clone() };
            let sources = self.variants.iter().map(source).collect();
            return Expr::Merge(Merge {
                method: "linear".into(),
                parameters: Parameters::default(),
                base: None,
                sources,
            });
        }
        Expr::Take(ModelRef { model: choice.to_string() })
    }

    /// The same candidates and coefficient on every layer but the removed ones.
    fn uniform(&self, removed: &[usize], models: &[&str], coefficient: f64) -> Recipe {
        let mut recipe = self.whole.clone();
        recipe.layers = (0..self.whole.layers.len())
            .filter(|layer| !removed.contains(layer))
            .map(|layer| OutputLayer { from: self.expression(models, coefficient, layer), scale: 1.0 })
            .collect();
        recipe.ends = match (&self.settings.ends, recipe.layers.as_slice(), models) {
            (EndsSetting::Follow, [only], _) => Ends::like(&only.from, &only.from),
            (EndsSetting::Follow, [first, .., last], _) => Ends::like(&first.from, &last.from),
            (EndsSetting::Search, _, [model]) => Ends::of(model),
            (EndsSetting::Search, _, [_, _, ..]) => {
                Ends { embedding: self.end(MEAN), final_norm: self.end(MEAN), head: self.end(MEAN) }
            }
            _ => Ends::of(&self.whole.base),
        };
        recipe
    }
}

fn end_choices(base: &str, variants: &[String]) -> Vec<String> {
    let mean = (variants.len() > 1).then(|| MEAN.to_string());
    std::iter::once(base.to_string()).chain(variants.iter().cloned()).chain(mean).collect()
}

fn task_arithmetic(base: &str, sources: impl Iterator<Item = LayerRef>, coefficient: f64) -> Merge<LayerRef> {
    let mut parameters = Parameters::default();
    parameters.set("coefficient", coefficient);
    Merge {
        method: MERGE.into(),
        parameters,
        base: Some(BaseRef { model: base.to_string(), layer: None }),
        sources: sources.map(|of| Source { of, parameters: Parameters::default() }).collect(),
    }
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
        Ok(Box::new(PruneSpace::new(family, &PruneSettings::of(settings)?)?))
    }
}

impl RecipeSpace for PruneSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        let layers = self.whole.layers.len();
        Some(layers - self.sizes.end()..=layers - self.sizes.start())
    }

    fn structure(&self) -> SpaceStructure {
        let names = layer_names(self.whole.layers.len());
        SpaceStructure::new()
            .with_embedding(mixture)
            .with_price(move |point, known| new_layers(&names, point, known), COST_EXPONENT)
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        let removed = point.subset("remove")?;
        let mut recipe = self.whole.clone();
        recipe.layers = (0..self.whole.layers.len())
            .filter(|layer| !removed.contains(layer))
            .map(|layer| self.layer(point, layer))
            .collect::<Result<_, _>>()?;
        match (&self.settings.ends, recipe.layers.as_slice()) {
            (EndsSetting::Follow, [only]) => recipe.ends = Ends::like(&only.from, &only.from),
            (EndsSetting::Follow, [first, .., last]) => recipe.ends = Ends::like(&first.from, &last.from),
            (EndsSetting::Search, _) => {
                let head = self.end(point.categorical("head")?);
                recipe.ends =
                    Ends { embedding: self.end(point.categorical("embedding")?), final_norm: head.clone(), head };
            }
            _ => {}
        }
        Ok(recipe)
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let mut point = Point::new();
        let mut kept = vec![false; self.whole.layers.len()];
        for (output, layer) in recipe.layers.iter().enumerate() {
            let no = |reason| Error::NotInSpace { layer: output, reason };
            let (source, models, coefficient) = self.candidates(&layer.from).map_err(no)?;
            if kept.get(source) != Some(&false) || kept[source..].contains(&true) {
                return Err(no("layers repeat or change their order"));
            }
            kept[source] = true;
            let mask: Vec<bool> = self.variants.iter().map(|name| models.contains(&name.as_str())).collect();
            point = point.with_mask(format!("layer_{source}.sources"), mask);
            if models.len() >= 2 {
                point = point.with_float(format!("layer_{source}.coefficient"), coefficient);
            }
            if self.settings.scales.is_some() {
                point = point.with_float(format!("layer_{source}.scale"), f64::from(layer.scale));
            } else if layer.scale != 1.0 {
                return Err(no("it has an output scale, and the study does not free the scales"));
            }
        }
        let removed: Vec<usize> = (0..kept.len()).filter(|layer| !kept[*layer]).collect();
        if !self.sizes.contains(&removed.len()) {
            return Err(Error::NotInSpace {
                layer: recipe.layers.len(),
                reason: "another number of layers is removed",
            });
        }
        point = point.with_subset("remove", removed);
        if self.settings.ends == EndsSetting::Search {
            let choice = |end: &EndExpr| match end {
                Expr::Take(source) => source.model.clone(),
                Expr::Merge(_) => MEAN.to_string(),
            };
            point = point
                .with_categorical("embedding", choice(&recipe.ends.embedding))
                .with_categorical("head", choice(&recipe.ends.head));
        }
        let point = self.space.canonical(&point)?;
        // Ends, dtype and vocabulary are not read above: the space may have none like the recipe's.
        let methods = Registry::standard();
        if self.decode(&point)?.key(&methods) == recipe.key(&methods) { Ok(point) } else { Err(Error::NoPoint) }
    }

    fn designs(&self, baselines: &[Recipe]) -> Vec<Recipe> {
        let orders = removal_orders(self.whole.layers.len());
        let counts = spread(&self.sizes);
        let published = orders.iter().flat_map(|order| counts.iter().map(|count| order.layers[..*count].to_vec()));
        let removals: Vec<Vec<usize>> = self.removals_of(baselines).into_iter().chain(published).collect();
        let patterns = patterns(&self.variants);
        let mut designs: Vec<Recipe> = Vec::new();
        // The removals vary fastest: however few designs a search takes, it sees each of them.
        for coefficient in DESIGN_COEFFICIENTS {
            for pattern in &patterns {
                designs.extend(removals.iter().map(|removed| self.uniform(removed, pattern, coefficient)));
            }
        }
        // Equal as models: single patterns ignore the coefficient, and a removal may stand there twice.
        let (methods, mut seen) = (Registry::standard(), HashSet::new());
        designs.retain(|recipe| seen.insert(recipe.key(&methods)));
        designs
    }
}

impl PruneSpace {
    /// The layers that are gone in the best baselines: of each number of layers about [`BEST_REMOVALS`] sets, each
    /// once.
    fn removals_of(&self, baselines: &[Recipe]) -> Vec<Vec<usize>> {
        let mut removals: Vec<Vec<usize>> = Vec::new();
        for baseline in baselines {
            let source = |layer: &OutputLayer| self.candidates(&layer.from).ok().map(|(source, ..)| source);
            let kept: HashSet<usize> = baseline.layers.iter().filter_map(source).collect();
            let removed = (0..self.whole.layers.len()).filter(|layer| !kept.contains(layer)).collect();
            if !removals.contains(&removed) {
                removals.push(removed);
            }
        }
        let counts: HashSet<usize> = removals.iter().map(Vec::len).collect();
        removals.truncate(BEST_REMOVALS * counts.len());
        removals
    }

    /// Source layer, variants and coefficient of a layer expression of this space.
    fn candidates<'a>(&self, expr: &'a LayerExpr) -> Result<(usize, Vec<&'a str>, f64), &'static str> {
        match expr {
            Expr::Take(source) if source.model == self.whole.base => Ok((source.layer, Vec::new(), 1.0)),
            Expr::Take(source) => Ok((source.layer, vec![source.model.as_str()], 1.0)),
            Expr::Merge(merge) if merge.method == MERGE => {
                let layer = merge.sources.first().map_or(0, |source| source.of.layer);
                if merge.sources.iter().any(|source| source.of.layer != layer) {
                    return Err("it is merged from layers of different indices");
                }
                let coefficient = merge.parameters.number("coefficient", "").ok().flatten();
                let models = merge.sources.iter().map(|source| source.of.model.as_str()).collect();
                Ok((layer, models, coefficient.ok_or("its merge has no coefficient")?))
            }
            Expr::Merge(_) => Err("it is merged by another method than task arithmetic"),
        }
    }
}

/// Numbers of layers that stand for all in a range: the least, the middle and the most, all where there are no more
/// than three. None is 0 where others may go: that would be the models as they are.
pub(crate) fn spread(sizes: &RangeInclusive<usize>) -> Vec<usize> {
    let (least, most) = ((*sizes.start()).max(1).min(*sizes.end()), *sizes.end());
    let mut spread = vec![least, least.midpoint(most), most];
    spread.dedup();
    spread
}

/// What a layer's sources and coefficient come to: how much of each variant's task vector is added to the base; then
/// the output scale.
fn mixture(values: &[Option<Value>]) -> Vec<f64> {
    let number = |value: Option<&Option<Value>>| match value {
        Some(Some(Value::Float(x))) => Some(*x),
        _ => None,
    };
    let bits = match values.first() {
        Some(Some(Value::Mask(bits))) => bits.as_slice(),
        _ => &[],
    };
    let (coefficient, scale) = if bits.len() < 2 { (None, values.get(1)) } else { (values.get(1), values.get(2)) };
    let coefficient = number(coefficient).unwrap_or(1.0);
    bits.iter().map(|bit| f64::from(*bit) * coefficient).chain(number(scale)).collect()
}

/// The names of each layer's dimensions.
fn layer_names(layers: usize) -> Vec<[String; 3]> {
    (0..layers).map(|layer| ["sources", "coefficient", "scale"].map(|what| format!("layer_{layer}.{what}"))).collect()
}

/// The share of a recipe's layers that must be computed where another one's states were kept: those from the first
/// difference on.
fn new_layers(names: &[[String; 3]], point: &Point, known: &Point) -> f64 {
    let layers = names.len();
    let removed = |point: &Point, layer| point.subset("remove").is_ok_and(|items| items.contains(&layer));
    let same = |layer: &usize| {
        let mut names = names[*layer].iter();
        removed(point, *layer) == removed(known, *layer) && names.all(|name| point.get(name) == known.get(name))
    };
    if point.get("embedding") != known.get("embedding") {
        return 1.0;
    }
    let alike = (0..layers).take_while(same).filter(|layer| !removed(point, *layer)).count();
    let kept = (0..layers).filter(|layer| !removed(point, *layer)).count();
    // The head is computed in any case, and costs about as much as a layer.
    (kept - alike + 1) as f64 / (kept + 1) as f64
}

/// Every set of candidates: all of them first, then smaller ones, single models, and the base alone (the empty set).
fn patterns(variants: &[String]) -> Vec<Vec<&str>> {
    // Beyond a few variants the subsets explode: then all, pairs of neighbours and singles must do.
    let mut sets: Vec<Vec<&str>> = if variants.len() <= 4 {
        (0..1_usize << variants.len())
            .map(|bits| {
                let chosen = variants.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
                chosen.map(|(_, name)| name.as_str()).collect()
            })
            .collect()
    } else {
        [variants.len(), 2, 1]
            .into_iter()
            .flat_map(|size| variants.windows(size))
            .map(|names| names.iter().map(String::as_str).collect())
            .chain([Vec::new()])
            .collect()
    };
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Remove;

    fn space(settings: PruneSettings) -> Result<PruneSpace, Error> {
        space_of(&["math", "code", "chat"], settings)
    }

    fn space_of(variants: &[&str], settings: PruneSettings) -> Result<PruneSpace, Error> {
        let models = std::iter::once(&"base").chain(variants).map(|name| (name.to_string(), name.to_string()));
        let whole = Recipe::of_base(models.collect(), "base", 8);
        let sizes = settings.remove.least()..=settings.remove.most();
        PruneSpace::over(whole, variants.iter().map(ToString::to_string).collect(), sizes, &settings)
    }

    fn settings(ends: EndsSetting) -> PruneSettings {
        PruneSettings { ends, ..PruneSettings::new(Remove::Exactly(2)) }
    }

    #[test]
    fn the_prune_space_keeps_the_laws_of_a_space() -> Result<(), crate::testing::BrokenSpace> {
        for ends in [EndsSetting::Search, EndsSetting::Follow, EndsSetting::Base] {
            for scales in [None, Some([0.5, 1.5])] {
                let remove = Remove::Between([1, 5]);
                crate::testing::check_space(&space(PruneSettings { remove, scales, ..settings(ends) })?)?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_range_of_removals_is_a_free_size_and_all_of_it_can_be_said() -> Result<(), Error> {
        let space = space(PruneSettings { remove: Remove::Between([1, 5]), ..settings(EndsSetting::Search) })?;
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
        let designed: HashSet<usize> = space.designs(&[]).iter().map(|recipe| 8 - recipe.layers.len()).collect();
        assert_eq!(designed, HashSet::from([1, 3, 5]));
        Ok(())
    }

    #[test]
    fn a_range_is_spread_without_the_whole_model() {
        assert_eq!(spread(&(1..=5)), [1, 3, 5]);
        assert_eq!(spread(&(0..=2)), [1, 2]);
        assert_eq!((spread(&(3..=3)), spread(&(0..=0))), (vec![3], vec![0]));
    }

    #[test]
    fn a_point_decodes_to_a_recipe_that_encodes_to_the_point() -> Result<(), Error> {
        let kinds = [EndsSetting::Search, EndsSetting::Follow, EndsSetting::Base].into_iter().cycle();
        let variants = [["math", "code", "chat"].as_slice(), &["math"]].into_iter().cycle();
        for (ends, variants) in kinds.zip(variants).take(6) {
            for scales in [None, Some([0.5, 1.5])] {
                let space = space_of(variants, PruneSettings { scales, ..settings(ends) })?;
                for seed in 0..50 {
                    let mut random = zo_search::generator(seed, "test", zo_search::TrialId(0));
                    let point = space.space().sample(&mut random)?;
                    let recipe = space.decode(&point)?;
                    assert_eq!(recipe.layers.len(), 6);
                    let again = space.decode(&space.encode(&recipe)?)?;
                    assert_eq!(again, recipe, "seed {seed}, {ends:?}, {scales:?}, {variants:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn candidates_decode_to_base_model_and_task_arithmetic() -> Result<(), Error> {
        let space = space(settings(EndsSetting::Base))?;
        let mut point = Point::new().with_subset("remove", [1, 6]);
        for (layer, mask) in [(0, [false, false, false]), (2, [false, true, false]), (3, [true, false, true])] {
            point = point.with_mask(format!("layer_{layer}.sources"), mask);
        }
        for layer in [4, 5, 7] {
            point = point.with_mask(format!("layer_{layer}.sources"), [false; 3]);
        }
        let recipe = space.decode(&point.with_float("layer_3.coefficient", 0.25))?;
        let at = |model: &str, layer| Expr::Take(LayerRef { model: model.into(), layer });
        assert_eq!(recipe.layers[0].from, at("base", 0));
        assert_eq!(recipe.layers[1].from, at("code", 2));
        let Expr::Merge(merge) = &recipe.layers[2].from else { panic!("layer 3 is merged") };
        let models: Vec<&str> = merge.sources.iter().map(|source| source.of.model.as_str()).collect();
        assert_eq!((models, merge.parameters.number("coefficient", "")?), (vec!["math", "chat"], Some(0.25)));
        assert_eq!(recipe.ends, Ends::of("base"));
        Ok(())
    }

    #[test]
    fn the_ends_follow_first_and_last_layer_if_the_study_says_so() -> Result<(), Error> {
        let space = space(settings(EndsSetting::Follow))?;
        let recipe = space.uniform(&[3, 4], &["math", "code"], 0.5);
        assert!(matches!(&recipe.ends.head, Expr::Merge(merge) if merge.sources.len() == 2));
        assert_eq!(space.decode(&space.encode(&recipe)?)?.ends, recipe.ends);
        Ok(())
    }

    #[test]
    fn a_mixture_is_what_is_added_to_the_base() {
        let bits = |bits: [bool; 2]| Some(Value::Mask(bits.to_vec()));
        assert_eq!(mixture(&[bits([false, true]), None]), [0.0, 1.0]);
        assert_eq!(mixture(&[bits([true, true]), Some(Value::Float(0.5))]), [0.5, 0.5]);
        assert_eq!(mixture(&[bits([false, false]), None, Some(Value::Float(0.9))]), [0.0, 0.0, 0.9]);
        assert!(mixture(&[None, None, None]).is_empty());
        // A single variant has no coefficient.
        assert_eq!(mixture(&[Some(Value::Mask(vec![true])), Some(Value::Float(0.9))]), [1.0, 0.9]);
    }

    #[test]
    fn a_change_deep_in_the_model_costs_little() -> Result<(), Error> {
        let space = space(settings(EndsSetting::Base))?;
        let point = |removed: &[usize], models: &[&str]| space.encode(&space.uniform(removed, models, 0.5));
        let (known, names) = (point(&[2, 5], &["math"])?, layer_names(8));
        assert_eq!(new_layers(&names, &known, &known), 1.0 / 7.0);
        assert_eq!(new_layers(&names, &point(&[2, 6], &["math"])?, &known), 3.0 / 7.0);
        assert_eq!(new_layers(&names, &point(&[0, 6], &["math"])?, &known), 1.0);
        assert_eq!(new_layers(&names, &point(&[2, 5], &["code"])?, &known), 1.0);
        Ok(())
    }

    #[test]
    fn designs_are_distinct_points_of_the_space_and_begin_with_the_given_removals() -> Result<(), Error> {
        let space = space(settings(EndsSetting::Search))?;
        let designs = space.designs(&[space.uniform(&[2, 5], &["math"], 1.0)]);
        // 4 removals; base, 3 singles, and 4 sets with 4 coefficients each.
        assert_eq!(designs.len(), 4 * (1 + 3 + 4 * 4));
        let first = space.encode(&designs[0])?;
        assert_eq!(first.subset("remove")?, [2, 5]);
        assert_eq!(first.mask("layer_0.sources")?, [true; 3]);
        let keys =
            designs.iter().map(|recipe| Ok(space.encode(recipe)?.key())).collect::<Result<HashSet<_>, Error>>()?;
        assert_eq!(keys.len(), designs.len());
        Ok(())
    }

    #[test]
    fn a_recipe_outside_of_the_space_is_refused_with_its_layer() -> Result<(), Error> {
        let space = space(settings(EndsSetting::Base))?;
        let mut recipe = space.uniform(&[3, 4], &[], 1.0);
        recipe.layers.swap(1, 2);
        assert!(matches!(space.encode(&recipe), Err(Error::NotInSpace { layer: 2, .. })));
        let mut scaled = space.uniform(&[3, 4], &[], 1.0);
        scaled.layers[4].scale = 0.9;
        assert!(matches!(space.encode(&scaled), Err(Error::NotInSpace { layer: 4, .. })));
        assert!(space.encode(&space.uniform(&[3], &[], 1.0)).is_err());
        Ok(())
    }

    /// Law: what `encode` gives stands for the recipe that it was given, or there is no point for it.
    #[test]
    fn a_point_of_a_recipe_stands_for_that_recipe() -> Result<(), Error> {
        let mut refused = 0;
        for setting in [EndsSetting::Search, EndsSetting::Follow, EndsSetting::Base] {
            let space = space(settings(setting))?;
            for model in ["base", "math"] {
                let mut recipe = space.uniform(&[2, 5], &["math"], 1.0);
                recipe.ends = Ends { final_norm: Ends::of("code").final_norm, ..Ends::of(model) };
                for ends in [Ends::of(model), recipe.ends.clone()] {
                    recipe.ends = ends;
                    match space.encode(&recipe) {
                        Ok(point) => {
                            let methods = Registry::standard();
                            assert_eq!(space.decode(&point)?.key(&methods), recipe.key(&methods));
                        }
                        Err(Error::NoPoint) => refused += 1,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        assert_eq!(
            refused, 8,
            "with a norm of its own in all three; with the base's ends or the variant's in one each"
        );
        Ok(())
    }
}
