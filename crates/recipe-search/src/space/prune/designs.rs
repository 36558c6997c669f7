//! The recipes that a search begins with: uniform ones, over the removals of the best baselines and the published ones.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use layer_ir::{OuterTensors, OutputLayer, Recipe};

use super::{MEAN, OuterSetting, PruneSpace, Selection, distinct, removal_orders};

/// From how many baselines of each number of layers the designs take their removals.
const BEST_REMOVALS: usize = 3;
/// Task-arithmetic coefficients of the starting designs (of the reference's grid, those that differ as models).
const COEFFICIENTS: [f64; 4] = [0.5, 0.3, 0.7, 1.0];
/// Up to so many variants every set of them is a design.
const ALL_SETS: usize = 4;

impl PruneSpace {
    /// Every removal with every set of candidates and every coefficient, those that differ as models. `baselines` are
    /// models with layers removed, the best first. In the published orders the layers of `keep` come last.
    pub(super) fn uniform_designs(&self, baselines: &[Recipe], keep: &BTreeSet<usize>) -> Vec<Recipe> {
        let mut orders = removal_orders(self.whole.layers.len());
        orders.iter_mut().for_each(|order| order.layers.sort_by_key(|layer| keep.contains(layer)));
        let counts = spread(&self.sizes);
        let published = orders.iter().flat_map(|order| counts.iter().map(|count| order.layers[..*count].to_vec()));
        let removals: Vec<Vec<usize>> = self.removals_of(baselines).into_iter().chain(published).collect();
        let mut patterns = patterns(&self.variants);
        if self.settings.selection() != Selection::Merged {
            patterns.retain(|set| set.len() <= 1);
        }
        let mut designs: Vec<Recipe> = Vec::new();
        // The removals vary fastest: however few designs a search takes, it sees each of them.
        for coefficient in COEFFICIENTS {
            for pattern in &patterns {
                designs.extend(removals.iter().map(|removed| self.uniform(removed, pattern, coefficient)));
            }
        }
        // Equal as models: single patterns ignore the coefficient, and a removal may stand there twice.
        distinct(designs)
    }

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

    /// The same candidates and coefficient on every layer but the removed ones.
    pub(in crate::space) fn uniform(&self, removed: &[usize], models: &[&str], coefficient: f64) -> Recipe {
        let mut recipe = self.whole.clone();
        recipe.layers = (0..self.whole.layers.len())
            .filter(|layer| !removed.contains(layer))
            .map(|layer| self.expression(models, coefficient, layer).into())
            .collect();
        recipe.outer = match (self.settings.outer, models) {
            (OuterSetting::Follow, _) => self.outer_like(&recipe.layers),
            (OuterSetting::Search, [model]) => OuterTensors::of(model),
            (OuterSetting::Search, [_, _, ..]) => OuterTensors {
                embedding: self.outer_expr(MEAN),
                final_norm: self.outer_expr(MEAN),
                head: self.outer_expr(MEAN),
            },
            _ => OuterTensors::of(&self.whole.base),
        };
        recipe
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

/// Every set of candidates: all of them first, then smaller ones, single models, and the base alone (the empty set).
fn patterns(variants: &[String]) -> Vec<Vec<&str>> {
    // Beyond a few variants there are too many sets: then all, pairs of neighbours and singles must do.
    let mut sets: Vec<Vec<&str>> = if variants.len() <= ALL_SETS {
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
    use crate::space::prune::tests::{settings, space};
    use crate::{Error, RecipeSpace as _};

    #[test]
    fn a_range_is_spread_without_the_whole_model() {
        assert_eq!(spread(&(1..=5)), [1, 3, 5]);
        assert_eq!(spread(&(0..=2)), [1, 2]);
        assert_eq!((spread(&(3..=3)), spread(&(0..=0))), (vec![3], vec![0]));
    }

    #[test]
    fn designs_are_distinct_points_of_the_space_and_begin_with_the_given_removals() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Search))?;
        let designs = space.designs(&[space.uniform(&[2, 5], &["math"], 1.0)], &BTreeSet::new());
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
    fn designs_keep_the_layers_that_make_a_sink() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Search))?;
        let removed = |keep: &BTreeSet<usize>| -> Result<HashSet<usize>, Error> {
            let mut removed = HashSet::new();
            for design in space.designs(&[], keep) {
                removed.extend(space.encode(&design)?.subset("remove")?.iter().copied());
            }
            Ok(removed)
        };
        let free = removed(&BTreeSet::new())?;
        for maker in free {
            assert!(!removed(&[maker].into())?.contains(&maker), "layer {maker}");
            assert_eq!(space.designs(&[], &[maker].into()).len() % (1 + 3 + 4 * 4), 0, "a whole set of each removal");
        }
        // Of 8 layers, 2 go: where only one makes no sink, another one goes with it.
        assert!(removed(&(1..8).collect())?.contains(&0));
        Ok(())
    }
}
