//! The prune space in the reference's parameterisation: `k` integers that differ say which layers go, and each layer
//! that stays has a flag for each candidate, a coefficient and an output scale, by the names in its result files.
//!
//! `k + L (M + 2)` dimensions for `L` layers and `M` candidates: 210 for the published 40 layers, of which 10 go.
//! The coefficient is there where nothing is merged, too. The output scale counts only with
//! [`PruneSettings::scales`](super::PruneSettings::scales): in the reference it is read and never used.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use layer_ir::Recipe;
use zo_search::{Point, Space};

use super::{PruneSpace, dimension, removal_orders};
use crate::Error;
use crate::space::RecipeSpace;
use crate::space::parameterisation::{PLACE, distinct_in};

/// The coefficients of the reference's starting designs, in their order.
const COEFFICIENTS: [f64; 6] = [0.3, 0.5, 0.6, 0.7, 0.8, 1.0];
/// The range of output scales, where they do not count.
const UNUSED_SCALES: [f64; 2] = [0.0, 2.0];

/// The prune space in the reference's parameterisation.
#[derive(Debug, Clone)]
pub struct ReferencePrune {
    /// The same recipes in our own dimensions.
    own: PruneSpace,
    space: Space,
    /// How many layers go.
    removed: usize,
}

impl ReferencePrune {
    /// The recipes of a space in the reference's dimensions.
    ///
    /// # Errors
    /// [`Error::StudyValue`] without variants, or when the number of layers that go is not fixed.
    pub fn new(own: PruneSpace) -> Result<Self, Error> {
        let path = Path::new(PLACE);
        if own.variants.is_empty() {
            let expected = "at least one fine-tune, or `space.parameterisation` \"own\"";
            return Err(Error::value(path, "models.variants", "empty", expected));
        }
        let (removed, least) = (*own.sizes.end(), *own.sizes.start());
        if removed != least {
            let (found, expected) = (format!("[{least}, {removed}]"), "one number in the reference's parameterisation");
            return Err(Error::value(path, "space.remove", found, expected));
        }
        let space = dimensions(&own, removed).build()?;
        Ok(Self { own, space, removed })
    }

    /// The point of our own dimensions that stands for the same recipe.
    fn own_point(&self, point: &Point) -> Result<Point, Error> {
        let mut removed = Vec::new();
        for index in 0..self.removed {
            removed.push(usize::try_from(point.int(&remove(index))?).unwrap_or(usize::MAX));
        }
        let mut own = Point::new();
        for layer in (0..self.own.whole.layers.len()).filter(|layer| !removed.contains(layer)) {
            let candidates = 0..self.own.variants.len();
            let chosen = candidates.map(|number| Ok(point.categorical(&candidate(layer, number))? == "1"));
            let chosen: Vec<bool> = chosen.collect::<Result<_, Error>>()?;
            if chosen.iter().filter(|chosen| **chosen).count() >= 2 {
                own = own.with_float(dimension(layer, "coefficient"), point.float(&coefficient(layer))?);
            }
            if self.own.settings.scales.is_some() {
                own = own.with_float(dimension(layer, "scale"), point.float(&scale(layer))?);
            }
            own = own.with_mask(dimension(layer, "sources"), chosen);
        }
        Ok(own.with_subset("remove", removed))
    }

    /// The point that stands for the recipe of a point of our own dimensions.
    fn point(&self, own: &Point) -> Result<Point, Error> {
        let removed = own.subset("remove")?;
        let mut point = Point::new();
        for (index, layer) in removed.iter().enumerate() {
            point = point.with_int(remove(index), i64::try_from(*layer).unwrap_or(i64::MAX));
        }
        let [low, high] = self.own.settings.coefficient;
        for layer in (0..self.own.whole.layers.len()).filter(|layer| !removed.contains(layer)) {
            for (number, chosen) in own.mask(&dimension(layer, "sources"))?.iter().enumerate() {
                point = point.with_categorical(candidate(layer, number), if *chosen { "1" } else { "0" });
            }
            let merged = own.float(&dimension(layer, "coefficient"));
            point = point.with_float(coefficient(layer), merged.unwrap_or(1_f64.max(low).min(high)));
            point = point.with_float(scale(layer), own.float(&dimension(layer, "scale")).unwrap_or(1.0));
        }
        Ok(point)
    }

    /// Every set of candidates: single ones first, then two of them, and so on.
    fn patterns(&self) -> Vec<Vec<&str>> {
        let names: Vec<&str> = self.own.variants.iter().map(String::as_str).collect();
        let mut sets: Vec<Vec<usize>> = (0..names.len()).map(|candidate| vec![candidate]).collect();
        let mut first = 0;
        while first < sets.len() {
            let set = sets[first].clone();
            let last = set.last().copied().unwrap_or(0);
            sets.extend((last + 1..names.len()).map(|candidate| [set.as_slice(), &[candidate]].concat()));
            first += 1;
        }
        sets.into_iter().map(|set| set.into_iter().map(|candidate| names[candidate]).collect()).collect()
    }
}

/// All dimensions.
fn dimensions(own: &PruneSpace, removed: usize) -> Space {
    let (layers, last) = (own.whole.layers.len(), own.whole.layers.len() as i64 - 1);
    let names: Vec<String> = (0..removed).map(remove).collect();
    let mut space = names.iter().fold(Space::new(), |space, name| space.int(name.clone(), 0..=last));
    if removed >= 2 {
        space = space.distinct(names.clone());
    }
    let [low, high] = own.settings.coefficient;
    let [least, most] = own.settings.scales.unwrap_or(UNUSED_SCALES);
    for layer in 0..layers {
        let bundle = format!("layer_{layer}");
        let kept = |space: Space| {
            let space = names.iter().fold(space, |space, name| space.unless(name.clone(), layer as i64));
            space.in_bundle(&bundle)
        };
        for number in 0..own.variants.len() {
            space = kept(space.categorical(candidate(layer, number), ["0", "1"]));
        }
        space = kept(space.float(coefficient(layer), low..=high));
        space = kept(space.float(scale(layer), least..=most));
    }
    space
}

fn remove(index: usize) -> String {
    format!("remove_idx_{index}")
}

fn candidate(layer: usize, number: usize) -> String {
    format!("layer_{layer}_candidate_{number}")
}

fn coefficient(layer: usize) -> String {
    format!("layer_{layer}_merge_scale_factor")
}

fn scale(layer: usize) -> String {
    format!("layer_{layer}_output_scale")
}

impl RecipeSpace for ReferencePrune {
    fn space(&self) -> &Space {
        &self.space
    }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        self.own.recipe(&self.own_point(point)?)
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        Ok(self.space.canonical(&self.point(&self.own.point(recipe)?)?)?)
    }

    fn layers(&self) -> Option<RangeInclusive<usize>> {
        self.own.layers()
    }

    /// The reference's 129 starting points, those that differ as models: over each of three removals the base, and each
    /// set of candidates with each of six coefficients.
    fn designs(&self, _: &[Recipe], _: &BTreeSet<usize>) -> Vec<Recipe> {
        let mut designs = Vec::new();
        for order in removal_orders(self.own.whole.layers.len()) {
            let removed = &order.layers[..self.removed];
            designs.push(self.own.uniform(removed, &[], 1.0));
            for coefficient in COEFFICIENTS {
                let sets = self.patterns().into_iter();
                designs.extend(sets.map(|models| self.own.uniform(removed, &models, coefficient)));
            }
        }
        distinct_in(self, designs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use layer_ir::BaseAt;
    use layer_ir::gptailor::{Context, Kind, ResultFile};

    use super::*;
    use crate::space::parameterisation::{published, same_model, values};
    use crate::space::prune::tests::space_of;
    use crate::space::{OuterSetting, Parameterisation, PruneSettings, Remove};

    fn reference(
        variants: &[&str],
        layers: usize,
        removed: usize,
        own: PruneSettings,
    ) -> Result<ReferencePrune, Error> {
        let settings = PruneSettings {
            remove: Remove::Exactly(removed),
            outer: OuterSetting::Follow,
            base_at: BaseAt::Output,
            parameterisation: Parameterisation::Reference,
            ..own
        };
        ReferencePrune::new(space_of(variants, layers, settings)?)
    }

    const CANDIDATES: [&str; 3] = ["math", "code", "chat"];

    #[test]
    fn the_published_searches_have_210_and_169_dimensions() -> Result<(), Error> {
        for (layers, removed, dimensions) in [(40, 10, 210), (32, 9, 169)] {
            let space = reference(&CANDIDATES, layers, removed, PruneSettings::new(Remove::Exactly(removed)))?;
            assert_eq!(space.space().dimensions().len(), dimensions);
        }
        Ok(())
    }

    #[test]
    fn the_reference_keeps_the_laws_of_a_space() -> Result<(), crate::testing::BrokenSpace> {
        for variants in [&CANDIDATES[..], &CANDIDATES[..1], &CANDIDATES[..2]] {
            for scales in [None, Some([0.5, 1.5])] {
                for removed in [0, 1, 3] {
                    let own = PruneSettings { scales, ..PruneSettings::new(Remove::Exactly(removed)) };
                    crate::testing::check_space(&reference(variants, 8, removed, own)?)?;
                }
            }
        }
        Ok(())
    }

    /// A point's values, written as a result file, are read as the same recipe.
    #[test]
    fn a_point_stands_for_what_a_file_of_its_values_says() -> Result<(), Error> {
        for scales in [None, Some([0.5, 1.5])] {
            let own = PruneSettings { scales, ..PruneSettings::new(Remove::Exactly(3)) };
            let space = reference(&CANDIDATES, 8, 3, own)?;
            let context = Context {
                layers: Some(8),
                base_at: BaseAt::Output,
                output_scales: scales.is_some(),
                ..Context::new(space.own.whole.models.clone(), "base")
            };
            for seed in 0..40 {
                let point = space.space().sample(&mut zo_search::generator(seed, "test", zo_search::TrialId(0)))?;
                // The published files have a key for each parameter that is there, 5 for each of the 5 layers kept.
                let values = values(&point);
                assert_eq!(values.len(), 3 + 5 * 5);
                let read = ResultFile::of_values(Kind::Prune, values).recipe(&context)?;
                assert!(same_model(&space.decode(&point)?, &read), "seed {seed}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_published_results_are_points() -> Result<(), Error> {
        for (folder, layers, removed, keys) in [("13b", 40, 10, 160), ("7b", 32, 9, 124)] {
            let space = reference(&CANDIDATES, layers, removed, PruneSettings::new(Remove::Exactly(removed)))?;
            let models = space.own.whole.models.clone();
            let context = Context { layers: Some(layers), base_at: BaseAt::Output, ..Context::new(models, "base") };
            for number in 1..=3 {
                let Some((point, read)) = published::point(space.space(), &format!("prune_{folder}_{number}.json"))?
                else {
                    continue;
                };
                let recipe = space.decode(&point)?;
                assert_eq!(point.iter().count(), keys);
                assert!(same_model(&recipe, &read.recipe(&context)?), "{folder} {number}");
                assert!(same_model(&space.decode(&space.encode(&recipe)?)?, &recipe), "{folder} {number}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_designs_are_those_of_the_reference_but_for_repeats() -> Result<(), Error> {
        let space = reference(&CANDIDATES, 40, 10, PruneSettings::new(Remove::Exactly(10)))?;
        let designs = space.designs(&[], &BTreeSet::new());
        // Of 3 (1 + 6 x 7), 28 differ over each removal: a single candidate has no coefficient.
        assert_eq!(designs.len(), 3 * 28);
        let first = space.encode(&designs[0])?;
        let mut removed: Vec<i64> = (0..10).map(|index| first.int(&remove(index))).collect::<Result<_, _>>()?;
        removed.sort_unstable();
        assert_eq!(removed, [24, 25, 26, 29, 32, 33, 34, 35, 36, 37]);
        assert_eq!(first.categorical("layer_0_candidate_0")?, "0");
        // Single candidates, then pairs with the first coefficient.
        assert_eq!(space.encode(&designs[1])?.categorical("layer_0_candidate_0")?, "1");
        let pair = space.encode(&designs[4])?;
        assert_eq!((pair.categorical("layer_0_candidate_1")?, pair.float("layer_0_merge_scale_factor")?), ("1", 0.3));
        let keys =
            designs.iter().map(|design| Ok(space.encode(design)?.key())).collect::<Result<HashSet<_>, Error>>()?;
        assert_eq!(keys.len(), designs.len());
        Ok(())
    }
}
