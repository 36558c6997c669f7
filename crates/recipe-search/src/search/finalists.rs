//! Which trials are confirmed: the best ones, but only a few that are nearly the same recipe.
//!
//! A search ends among recipes that differ in a coefficient or in the source of one layer. If these took all places of
//! the confirmation, it would choose between copies; what is nearly as good and otherwise made would not be looked at.

use std::collections::BTreeSet;

use layer_ir::{Expr, LayerExpr, Recipe};
use zo_search::Outcome;

/// So many near-copies are confirmed while there are other recipes that may be as good.
const OF_A_KIND: usize = 2;
/// Near-copies have other sources in at most one of so many layers.
const ONE_IN: usize = 4;
/// A trial whose documents are by more than so many standard errors worse than the best trial's is surely worse.
const SURELY: f64 = 2.0;

/// A trial on all search documents.
pub(super) struct Finalist<'a> {
    /// What came out of it.
    pub outcome: &'a Outcome,
    /// Its recipe, without bridges.
    pub recipe: Recipe,
}

/// The places of those that are confirmed in a list of finalists, the best first; as many as `count` where there are so
/// many.
///
/// Of the finalists that are not surely worse than the first one, the best [`OF_A_KIND`] of each kind are taken. Where
/// these are too few, the others follow in their order.
pub(super) fn distinct(ranked: &[Finalist<'_>], count: usize) -> Vec<usize> {
    let mut kinds: Vec<(usize, usize)> = Vec::new();
    let mut is_first_of_kind = |place: &usize| {
        let own = &ranked[*place];
        if is_surely_worse(own, &ranked[0]) {
            return false;
        }
        match kinds.iter_mut().find(|(leader, _)| are_near_copies(&ranked[*leader].recipe, &own.recipe)) {
            Some((_, taken)) => {
                *taken += 1;
                *taken <= OF_A_KIND
            }
            None => {
                kinds.push((*place, 1));
                true
            }
        }
    };
    let (first, others): (Vec<usize>, Vec<usize>) = (0..ranked.len()).partition(|place| is_first_of_kind(place));
    let mut chosen: Vec<usize> = first.into_iter().chain(others).take(count).collect();
    chosen.sort_unstable();
    chosen
}

/// Whether a finalist is worse than the best one by more than chance, by the documents that both were scored on.
fn is_surely_worse(own: &Finalist<'_>, best: &Finalist<'_>) -> bool {
    own.outcome.paired_difference(best.outcome).is_some_and(|(worse, error)| worse > SURELY * error)
}

/// Whether two recipes are the same layers, of which at most a quarter are made of other models. By what coefficients
/// and scales they are made, and where embedding and head come from, does not matter.
pub(super) fn are_near_copies(a: &Recipe, b: &Recipe) -> bool {
    if a.layers.len() != b.layers.len() {
        return false;
    }
    let mut other_models = 0;
    for (a, b) in a.layers.iter().zip(&b.layers) {
        let ((layers, models), (other_layers, others)) = (origins(&a.from), origins(&b.from));
        if layers != other_layers {
            return false;
        }
        other_models += usize::from(models != others);
    }
    other_models * ONE_IN <= a.layers.len()
}

/// The layers that an output layer is made of, and their models.
fn origins(from: &LayerExpr) -> (BTreeSet<usize>, BTreeSet<&str>) {
    match from {
        Expr::Take(source) => ([source.layer].into(), [source.model.as_str()].into()),
        Expr::Merge(merge) => {
            let sources = || merge.sources.iter().map(|source| &source.of);
            (sources().map(|of| of.layer).collect(), sources().map(|of| of.model.as_str()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layer_ir::{Merge, OutputLayer};

    /// Eight layers, of which `taken` are of `math` and the others of `base`, but for layer 3, which may be gone.
    fn recipe(taken: &[usize], whole: bool) -> Recipe {
        let layers = (0..9).filter(|layer| whole || *layer != 3).take(8);
        let layer = |layer: usize| OutputLayer::take(if taken.contains(&layer) { "math" } else { "base" }, layer);
        Recipe { layers: layers.map(layer).collect(), ..Recipe::of_base(indexmap::IndexMap::new(), "base", 8) }
    }

    #[test]
    fn near_copies_lack_the_same_layers_and_differ_in_a_quarter_of_their_sources() {
        let near = |a: &Recipe, b: &Recipe| are_near_copies(a, b) && are_near_copies(b, a);
        assert!(near(&recipe(&[], false), &recipe(&[0, 5], false)));
        assert!(!near(&recipe(&[], false), &recipe(&[0, 4, 5], false)));
        assert!(!near(&recipe(&[], false), &recipe(&[], true)), "other layers");
        let merged = |coefficient: f64| {
            let mut recipe = recipe(&[], false);
            let merge = Merge::new("gptailor_task_arithmetic").with("coefficient", coefficient);
            recipe.layers.iter_mut().for_each(|layer| {
                *layer = OutputLayer::merge(merge.clone().source("math", 1).source("code", 1));
            });
            recipe
        };
        assert!(near(&merged(0.2), &merged(0.9)), "coefficients alone");
        assert!(!near(&merged(0.2), &recipe(&[0, 1, 2, 3, 4, 5, 6, 7], false)));
    }

    #[test]
    fn two_of_a_kind_are_confirmed_while_others_may_be_as_good() {
        let documents = |worse: f64| {
            Outcome::score(0.5 + worse).with_instances((0..40).map(|i| f64::from(i % 2) + worse).collect::<Vec<_>>())
        };
        // The last kind is worse on every document.
        let (good, bad) = (documents(0.0), documents(0.1));
        let kinds = [(&[][..], true), (&[0], true), (&[1], true), (&[2], true), (&[], false), (&[0, 1, 2, 4], false)];
        let outcomes = [&good, &good, &good, &good, &good, &bad];
        let ranked: Vec<Finalist<'_>> = kinds
            .iter()
            .zip(outcomes)
            .map(|((taken, whole), outcome)| Finalist { outcome, recipe: recipe(taken, *whole) })
            .collect();
        assert_eq!(distinct(&ranked, 3), [0, 1, 4]);
        assert_eq!(distinct(&ranked, 4), [0, 1, 2, 4], "places that are left go by rank");
        assert_eq!(distinct(&ranked, 9), [0, 1, 2, 3, 4, 5]);
        assert_eq!(distinct(&ranked[..1], 3), [0]);
        assert!(distinct(&[], 3).is_empty());
    }
}
