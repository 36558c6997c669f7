//! From a recipe to the point that stands for it, where there is one.

use layer_ir::{Expr, LayerExpr, OuterExpr, Recipe};
use zo_search::Point;

use super::{MEAN, MERGE, MODEL, OuterSetting, PruneSpace, Selection, dimension};
use crate::Error;
use crate::space::parameterisation::standing_for;

impl PruneSpace {
    /// The point that stands for a recipe.
    ///
    /// # Errors
    /// [`Error::NotInSpace`] names the first output layer that no point gives; [`Error::NoPoint`] when the layers are
    /// those of a point, but not all else.
    pub(super) fn point(&self, recipe: &Recipe) -> Result<Point, Error> {
        let mut point = Point::new();
        let mut kept = vec![false; self.whole.layers.len()];
        for (output, layer) in recipe.layers.iter().enumerate() {
            let no = |reason| Error::NotInSpace { layer: output, reason };
            let (source, models, coefficient) = self.candidates(&layer.from).map_err(no)?;
            if kept.get(source) != Some(&false) || kept[source..].contains(&true) {
                return Err(no("layers repeat or change their order"));
            }
            kept[source] = true;
            point = self.with_sources(point, source, &models, coefficient).map_err(no)?;
            if self.settings.scales.is_some() {
                point = point.with_float(dimension(source, "scale"), f64::from(layer.scale));
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
        let has_ends = self.settings.selection() != Selection::Whole && !self.variants.is_empty();
        if self.settings.outer == OuterSetting::Search && has_ends {
            let choice = |outer: &OuterExpr| match outer {
                Expr::Take(source) => source.model.clone(),
                Expr::Merge(_) => MEAN.to_string(),
            };
            point = point
                .with_categorical("embedding", choice(&recipe.outer.embedding))
                .with_categorical("head", choice(&recipe.outer.head));
        }
        let point = self.space.canonical(&point)?;
        // Outer tensors, dtype and vocabulary are not read above: the space may have none like the recipe's.
        standing_for(self, point, recipe)
    }

    /// The point with what says that a layer is made of some variants.
    fn with_sources(
        &self,
        point: Point,
        layer: usize,
        models: &[&str],
        coefficient: f64,
    ) -> Result<Point, &'static str> {
        let selection = self.settings.selection();
        let one = models.first().copied().unwrap_or(&self.whole.base);
        match selection {
            Selection::Whole | Selection::Each if models.len() > 1 => Err("it is merged, and the study does not merge"),
            _ if self.variants.is_empty() => Ok(point),
            Selection::Whole => match point.categorical(MODEL) {
                Ok(model) if model != one => Err("it is of another model than those before it"),
                _ => Ok(point.with_categorical(MODEL, one)),
            },
            Selection::Each => Ok(point.with_categorical(dimension(layer, "source"), one)),
            Selection::Merged => {
                let mask: Vec<bool> = self.variants.iter().map(|name| models.contains(&name.as_str())).collect();
                let point = point.with_mask(dimension(layer, "sources"), mask);
                let merged = models.len() >= 2;
                Ok(if merged { point.with_float(dimension(layer, "coefficient"), coefficient) } else { point })
            }
        }
    }

    /// Source layer, variants and coefficient of a layer expression of this space; or why it is none.
    pub(super) fn candidates<'a>(&self, expr: &'a LayerExpr) -> Result<(usize, Vec<&'a str>, f64), &'static str> {
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

#[cfg(test)]
mod tests {
    use layer_ir::OuterTensors;
    use merge_ops::Registry;

    use super::*;
    use crate::RecipeSpace as _;
    use crate::space::PruneSettings;
    use crate::space::prune::tests::{settings, space, space_of};

    #[test]
    fn a_point_decodes_to_a_recipe_that_encodes_to_the_point() -> Result<(), Error> {
        let kinds = [OuterSetting::Search, OuterSetting::Follow, OuterSetting::Base].into_iter().cycle();
        let variants = [["math", "code", "chat"].as_slice(), &["math"]].into_iter().cycle();
        for (outer, variants) in kinds.zip(variants).take(6) {
            for scales in [None, Some([0.5, 1.5])] {
                let space = space_of(variants, 8, PruneSettings { scales, ..settings(outer) })?;
                for seed in 0..50 {
                    let mut random = zo_search::generator(seed, "test", zo_search::TrialId(0));
                    let point = space.space().sample(&mut random)?;
                    let recipe = space.decode(&point)?;
                    assert_eq!(recipe.layers.len(), 6);
                    let again = space.decode(&space.encode(&recipe)?)?;
                    assert_eq!(again, recipe, "seed {seed}, {outer:?}, {scales:?}, {variants:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_recipe_outside_of_the_space_is_refused_with_its_layer() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Base))?;
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
        for setting in [OuterSetting::Search, OuterSetting::Follow, OuterSetting::Base] {
            let space = space(settings(setting))?;
            for model in ["base", "math"] {
                let mut recipe = space.uniform(&[2, 5], &["math"], 1.0);
                recipe.outer =
                    OuterTensors { final_norm: OuterTensors::of("code").final_norm, ..OuterTensors::of(model) };
                for outer in [OuterTensors::of(model), recipe.outer.clone()] {
                    recipe.outer = outer;
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
            "with a norm of its own in all three; with the base's outer tensors or the variant's in one each"
        );
        Ok(())
    }
}
