//! A space of another kind: nothing is removed, and each layer comes from one of the models.

use layer_ir::{Expr, Family, LayerRef, Recipe};
use recipe_search::{Error, RecipeSpace, SpaceKind, baselines::whole_model};
use tailor_registry::{Entry, Settings};
use zo_search::{Point, Space};

/// `[space] kind = "layer_choice"`; it has no parameters.
pub struct LayerChoice;

impl Entry for LayerChoice {
    fn name(&self) -> &str {
        "layer_choice"
    }
    fn summary(&self) -> &str {
        "All layers stay, each from one of the models; the ends are the base's."
    }
}

impl SpaceKind for LayerChoice {
    fn open(&self, family: &Family, _: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        let (whole, models) = (whole_model(family, family.base_name()), family.names().collect::<Vec<_>>());
        let layers = 0..whole.layers.len();
        let space = layers.fold(Space::new(), |space, layer| space.categorical(name(layer), models.clone())).build()?;
        Ok(Box::new(Layers { whole, space }))
    }
}

struct Layers {
    whole: Recipe,
    space: Space,
}

fn name(layer: usize) -> String {
    format!("layer_{layer}")
}

impl RecipeSpace for Layers {
    fn space(&self) -> &Space {
        &self.space
    }
    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        let mut recipe = self.whole.clone();
        for (layer, output) in recipe.layers.iter_mut().enumerate() {
            output.from = Expr::Take(LayerRef { model: point.categorical(&name(layer))?.to_owned(), layer });
        }
        Ok(recipe)
    }
    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let mut point = Point::new();
        for (layer, output) in recipe.layers.iter().enumerate() {
            let Expr::Take(source) = &output.from else { return Err(Error::NoPoint) };
            point = point.with_categorical(name(layer), source.model.clone());
        }
        let point = self.space.canonical(&point)?;
        if self.decode(&point)?.key(&()) == recipe.key(&()) { Ok(point) } else { Err(Error::NoPoint) }
    }
}
