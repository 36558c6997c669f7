//! A space of another kind: nothing is removed; each layer comes from one of the models, or is merged from all
//! fine-tunes.

use layer_ir::{Expr, Family, LayerExpr, Merge, OutputLayer, Recipe};
use recipe_search::{Error, RecipeSpace, SpaceKind, baselines::whole_model};
use tailor_registry::{Entry, Parameter, Settings};
use zo_search::{Point, Space};

/// `[space] kind = "layer_choice"`; with `method = "..."` a layer may also be merged from all fine-tunes by that
/// method.
pub struct LayerChoice;

const PARAMETERS: &[Parameter] =
    &[Parameter::text("method", "How a merged layer is merged; no merges without it.").optional()];
const MERGED: &str = "merged";

impl Entry for LayerChoice {
    fn name(&self) -> &str { "layer_choice" }
    fn summary(&self) -> &str { "All layers stay, each from one of the models or merged; the rest is the base's." }
    fn parameters(&self) -> &[Parameter] { PARAMETERS }
}

impl SpaceKind for LayerChoice {
    fn open(&self, family: &Family, settings: &Settings) -> Result<Box<dyn RecipeSpace>, Error> {
        let method = settings.value("method").and_then(|method| method.as_str()).map(str::to_owned);
        let whole = whole_model(family, family.base_name());
        let choices: Vec<&str> = family.names().chain(method.as_ref().map(|_| MERGED)).collect();
        let add = |space: Space, layer| space.categorical(format!("layer_{layer}"), choices.clone());
        let space = (0..whole.layers.len()).fold(Space::new(), add).build()?;
        let tuned = family.names().filter(|name| *name != family.base_name()).map(str::to_owned).collect();
        Ok(Box::new(Layers { whole, space, tuned, method }))
    }
}

/// The space over some models.
struct Layers {
    /// The base, whose layers are replaced one by one.
    whole: Recipe,
    /// A choice for each layer: a model, or [`MERGED`].
    space: Space,
    /// The fine-tunes, which are the sources of a merged layer.
    tuned: Vec<String>,
    method: Option<String>,
}

impl RecipeSpace for Layers {
    fn space(&self) -> &Space { &self.space }

    fn decode(&self, point: &Point) -> Result<Recipe, Error> {
        let mut recipe = self.whole.clone();
        for (layer, output) in recipe.layers.iter_mut().enumerate() {
            *output = match (point.categorical(&format!("layer_{layer}"))?, &self.method) {
                (MERGED, Some(method)) => {
                    let add = |merge: Merge<_>, model: &String| merge.source(model, layer);
                    OutputLayer::merge(self.tuned.iter().fold(Merge::new(method), add))
                }
                (model, _) => OutputLayer::take(model, layer),
            };
        }
        Ok(recipe)
    }

    fn encode(&self, recipe: &Recipe) -> Result<Point, Error> {
        let choice = |from: &LayerExpr| match from {
            Expr::Take(source) => source.model.clone(),
            Expr::Merge(_) => MERGED.to_owned(),
        };
        let layers = recipe.layers.iter().enumerate().map(|(i, layer)| (format!("layer_{i}"), choice(&layer.from)));
        let point = layers.fold(Point::new(), |point, (name, choice)| point.with_categorical(name, choice));
        let point = self.space.canonical(&point)?;
        if self.decode(&point)?.key(&()) == recipe.key(&()) { Ok(point) } else { Err(Error::NoPoint) }
    }
}
