//! From a point to the recipe that it stands for.

use layer_ir::{
    BaseRef, Expr, LayerExpr, LayerRef, Merge, ModelRef, OuterExpr, OuterTensors, OutputLayer, Parameters, Recipe,
    Source,
};
use zo_search::Point;

use super::{MEAN, MERGE, MODEL, OuterSetting, PruneSpace, Selection, dimension};
use crate::Error;

impl PruneSpace {
    /// The recipe that a point stands for: the layers that are not removed, in their order, each from its candidates.
    pub(super) fn recipe(&self, point: &Point) -> Result<Recipe, Error> {
        let removed = point.subset("remove")?;
        let mut recipe = self.whole.clone();
        recipe.layers = (0..self.whole.layers.len())
            .filter(|layer| !removed.contains(layer))
            .map(|layer| self.layer(point, layer))
            .collect::<Result<_, _>>()?;
        match self.settings.outer {
            OuterSetting::Base => {}
            _ if self.variants.is_empty() => {}
            OuterSetting::Search if self.settings.selection() == Selection::Whole => {
                recipe.outer = OuterTensors::of(point.categorical(MODEL)?);
            }
            OuterSetting::Follow => recipe.outer = self.outer_like(&recipe.layers),
            OuterSetting::Search => {
                let head = self.outer_expr(point.categorical("head")?);
                recipe.outer = OuterTensors {
                    embedding: self.outer_expr(point.categorical("embedding")?),
                    final_norm: head.clone(),
                    head,
                };
            }
        }
        Ok(recipe)
    }

    /// An output layer made of the layers of this index: of the variants that the point chooses, by its coefficient and
    /// with its scale. A number that the space does not have is 1.
    fn layer(&self, point: &Point, layer: usize) -> Result<OutputLayer, Error> {
        let models = self.chosen(point, layer)?;
        let coefficient = if models.len() >= 2 { point.float(&dimension(layer, "coefficient"))? } else { 1.0 };
        let scale = if self.settings.scales.is_some() { point.float(&dimension(layer, "scale"))? as f32 } else { 1.0 };
        Ok(OutputLayer { scale, ..self.expression(&models, coefficient, layer).into() })
    }

    /// The variants that a layer is made of; none is the base.
    fn chosen<'a>(&'a self, point: &'a Point, layer: usize) -> Result<Vec<&'a str>, Error> {
        let one = |model: &'a str| if model == self.whole.base { Vec::new() } else { vec![model] };
        Ok(match self.settings.selection() {
            _ if self.variants.is_empty() => Vec::new(),
            Selection::Whole => one(point.categorical(MODEL)?),
            Selection::Each => one(point.categorical(&dimension(layer, "source"))?),
            Selection::Merged => {
                let mask = point.mask(&dimension(layer, "sources"))?;
                let chosen = self.variants.iter().zip(mask).filter(|(_, chosen)| **chosen);
                chosen.map(|(name, _)| name.as_str()).collect()
            }
        })
    }

    /// A layer made of some variants: of none the base's, of one that model's, of several their task arithmetic
    /// `B + c · Σ (W_m − B)` over the base's `B`, with the coefficient `c`.
    pub(super) fn expression(&self, models: &[&str], coefficient: f64, layer: usize) -> LayerExpr {
        let take = |model: &str| Expr::Take(LayerRef { model: model.to_owned(), layer });
        match models {
            [] => take(&self.whole.base),
            [model] => take(model),
            _ => {
                let merge = Merge::new(MERGE).with("coefficient", coefficient);
                let base = Some(BaseRef { model: self.whole.base.clone(), layer: None });
                let merge = models.iter().fold(merge, |merge, model| merge.source(model, layer));
                Expr::Merge(Merge { base, ..merge })
            }
        }
    }

    /// What a categorical choice stands for: a model's outer tensor, or the mean of all variants'.
    pub(super) fn outer_expr(&self, choice: &str) -> OuterExpr {
        let of = |model: &str| ModelRef { model: model.to_owned() };
        if choice != MEAN {
            return Expr::Take(of(choice));
        }
        let mut parameters = Parameters::default();
        parameters.set("weight", 1.0);
        let source = |model: &String| Source { of: of(model), parameters: parameters.clone() };
        Expr::Merge(Merge { sources: self.variants.iter().map(source).collect(), ..Merge::new("linear") })
    }

    /// The outer tensors as the first and the last output layer are made; the base's where there is no layer.
    pub(super) fn outer_like(&self, layers: &[OutputLayer]) -> OuterTensors {
        match layers {
            [] => OuterTensors::of(&self.whole.base),
            [only] => OuterTensors::like(&only.from, &only.from),
            [first, .., last] => OuterTensors::like(&first.from, &last.from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecipeSpace as _;
    use crate::space::prune::tests::{settings, space};

    #[test]
    fn candidates_decode_to_base_model_and_task_arithmetic() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Base))?;
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
        assert_eq!(recipe.outer, OuterTensors::of("base"));
        Ok(())
    }

    #[test]
    fn the_ends_follow_first_and_last_layer_if_the_study_says_so() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Follow))?;
        let recipe = space.uniform(&[3, 4], &["math", "code"], 0.5);
        assert!(matches!(&recipe.outer.head, Expr::Merge(merge) if merge.sources.len() == 2));
        assert_eq!(space.decode(&space.encode(&recipe)?)?.outer, recipe.outer);
        Ok(())
    }
}
