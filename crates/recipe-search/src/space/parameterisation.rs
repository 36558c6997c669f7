//! How the recipes of a space are told as points: in our dimensions, or in those of the Python reference.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::Path;

use indexmap::IndexMap;
use layer_ir::gptailor::Context;
use layer_ir::{Family, Recipe};
use merge_ops::Registry;
use tailor_registry::{Parameter, Settings};
use zo_search::{Point, SpaceStructure, Value};

use super::RecipeSpace;
use crate::Error;

/// Where errors say that a value stands, until the study file is known.
pub(super) const PLACE: &str = "the space";

/// The power of a proposal's price by which what it promises is divided.
const COST_EXPONENT: f64 = 0.3;

/// How the recipes of a space are told as points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parameterisation {
    /// In dimensions that are there only where they make a difference.
    #[default]
    Own,
    /// In the parameters of auto-merge-llm, by the names in its result files, with its starting designs: for comparison
    /// with the papers' searches.
    Reference,
}

impl Parameterisation {
    /// The parameter of `[space]`.
    pub(super) const PARAMETER: Parameter = Parameter::one_of(
        "parameterisation",
        &["own", "reference"],
        "The dimensions: ours, or those of GPTailor's Python code with its starting designs.",
    )
    .with_default_text("own");

    /// The one that a study asks for.
    ///
    /// # Errors
    /// As of [`Settings::text`].
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        Ok(if settings.text("parameterisation")? == "reference" { Self::Reference } else { Self::Own })
    }
}

/// A range of two numbers that do not fall; [`None`] when it is absent.
pub(super) fn range(settings: &Settings, name: &str, key: &'static str) -> Result<Option<[f64; 2]>, Error> {
    let path = Path::new(PLACE);
    if settings.value(name).is_none() {
        return Ok(None);
    }
    let numbers = settings.numbers(name).map_err(Error::choice(path, "space"))?;
    match numbers.as_slice() {
        [low, high] if low <= high => Ok(Some([*low, *high])),
        _ => {
            let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
            let expected = "a range [low, high], of which the first is not above the second";
            Err(Error::value(path, key, format!("[{}]", numbers.join(", ")), expected))
        }
    }
}

/// The models of a family as the readers of the reference's results know them, the variants as candidates in their
/// order.
///
/// # Errors
/// [`Error::StudyValue`] when there are no variants, without which such a space has no point but the base.
pub(super) fn context(family: &Family) -> Result<Context, Error> {
    let context = Context::new(family.paths(), family.base_name());
    if context.candidates.is_empty() {
        let expected = "at least one fine-tune; over a single model there are the spaces `prune` and `fold`";
        return Err(Error::value(Path::new(PLACE), "models.variants", "empty", expected));
    }
    Ok(context)
}

/// The recipes that differ as models, the first of equal ones.
pub(super) fn distinct(mut recipes: Vec<Recipe>) -> Vec<Recipe> {
    let (methods, mut seen) = (Registry::standard(), HashSet::new());
    recipes.retain(|recipe| seen.insert(recipe.key(&methods)));
    recipes
}

/// Whether two recipes are the same model.
pub(super) fn same_model(a: &Recipe, b: &Recipe) -> bool {
    let methods = Registry::standard();
    a.key(&methods) == b.key(&methods)
}

/// The point, if it stands for the recipe: what an `encode` does not look at may differ.
///
/// # Errors
/// [`Error::NoPoint`] if it does not; what decoding it says.
pub(super) fn standing_for(space: &dyn RecipeSpace, point: Point, recipe: &Recipe) -> Result<Point, Error> {
    if same_model(&space.decode(&point)?, recipe) { Ok(point) } else { Err(Error::NoPoint) }
}

/// Those of some recipes that differ as models and have a point.
pub(super) fn distinct_in(space: &dyn RecipeSpace, recipes: Vec<Recipe>) -> Vec<Recipe> {
    let mut recipes = distinct(recipes);
    recipes.retain(|recipe| space.encode(recipe).is_ok());
    recipes
}

/// The structure with the price of a point beside a known one, where the dimensions of `items` follow the layers: what
/// stands before the first difference was computed. The head is computed in any case, and counts as one item more.
pub(super) fn with_prefix_price(structure: SpaceStructure, items: Vec<Vec<String>>) -> SpaceStructure {
    let price = move |point: &Point, known: &Point| {
        let same = |names: &&Vec<String>| names.iter().all(|name| point.get(name) == known.get(name));
        let alike = items.iter().take_while(same).count();
        (items.len() - alike + 1) as f64 / (items.len() + 1) as f64
    };
    structure.with_price(price, COST_EXPONENT)
}

/// A point's values as a result file has them.
pub(super) fn values(point: &Point) -> IndexMap<String, serde_json::Value> {
    let json = |value: &Value| match value {
        Value::Float(x) => serde_json::json!(x),
        Value::Int(x) => serde_json::json!(x),
        other => serde_json::json!(other.to_string()),
    };
    point.iter().map(|(name, value)| (name.to_owned(), json(value))).collect()
}

/// The things, each once, in their order.
pub(super) fn each_once<T: Clone + Eq + Hash>(things: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    things.into_iter().filter(|thing| seen.insert(thing.clone())).collect()
}

/// The published results, which have no licence and are not here: they are looked for in `../shared/published`, beside
/// the repository.
#[cfg(test)]
pub(super) mod published {
    use std::path::Path;

    use layer_ir::gptailor::ResultFile;
    use zo_search::{Domain, Point, Space};

    /// The values of a file as a point of a space, all of whose keys must be its dimensions; and the file. None where
    /// it is not there.
    pub fn point(space: &Space, name: &str) -> Result<Option<(Point, ResultFile)>, crate::Error> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/published").join(name);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
        let mut point = Point::new();
        for (key, value) in &values {
            let dimension = space.dimensions().iter().find(|dimension| dimension.name == *key);
            let number = value.as_f64();
            point = match dimension.map(|dimension| &dimension.domain) {
                Some(Domain::Float { .. }) => point.with_float(key, number.unwrap_or(f64::NAN)),
                Some(Domain::Int { .. }) => point.with_int(key, number.map_or(-1, |number| number as i64)),
                Some(_) => point.with_categorical(key, value.as_str().map_or(value.to_string(), str::to_owned)),
                None => panic!("{name}: no dimension is called {key}"),
            };
        }
        Ok(Some((space.canonical(&point)?, ResultFile::from_text(&text, &path)?)))
    }
}
