//! The picture of a tailored model: which layer comes from where, what is merged with which weight, what is gone.
//!
//! A [`LayerMap`] is read off a recipe alone, without opening a model. It is drawn twice: with letters, for
//! `tailor inspect` and at the end of a search, and as an SVG, for the page and the study's folder.

mod drawing;
mod text;

use std::ops::RangeInclusive;

use layer_ir::{Expr, LayerExpr, LayerRef, Merge, OutputLayer, Recipe};

/// One column of the picture: a layer of the parents, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCell {
    /// The layer's index in the parents.
    pub layer: usize,
    /// The output layers that are made of it, in their order. None: the layer is gone; more than one: they are stacked.
    pub uses: Vec<LayerUse>,
    /// Where it is folded into.
    pub folded: Option<Folded>,
}

/// What became of a layer that is folded into another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The output layer that has its difference.
    pub output: usize,
    /// By what the difference is multiplied there, if a single number says so.
    pub weight: Option<f64>,
}

/// Neighbouring output layers that are merged alike.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGroup {
    /// The first and the last one.
    pub outputs: RangeInclusive<usize>,
    /// How they are merged.
    pub method: String,
}

/// An output layer as the picture shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerUse {
    /// Its index in the tailored model.
    pub output: usize,
    /// The models it is made of, by position in [`LayerMap::models`]; several for a merge, whose base is not counted.
    pub models: Vec<usize>,
    /// The merge's `coefficient`, `lambda` or `t`: the one number that says how strongly it merges, if it has one.
    pub weight: Option<f64>,
    /// The merge method, if it is merged.
    pub method: Option<String>,
    /// Whether a bridge is added to its weights.
    pub bridged: bool,
    /// The factor of what the layer adds to the residual stream; 1 leaves it as it is.
    pub scale: f32,
}

/// The layers of a recipe over those of its parents.
///
/// ```
/// use layer_ir::{OutputLayer, Recipe};
/// use tailor::LayerMap;
///
/// let models = ["base", "math"].map(|name| (name.to_owned(), format!("models/{name}")));
/// let mut recipe = Recipe::of_base(models.into(), "base", 3);
/// recipe.layers[0] = OutputLayer::take("math", 0);
/// recipe.layers.remove(1);
/// let text = LayerMap::of(&recipe, 3).to_text();
/// let expected = ["layer   0  1  2", "base    ·  · ██", "math   ██  ·  ·", "gone       ×   "];
/// assert_eq!(text.lines().collect::<Vec<_>>(), expected);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMap {
    /// The names of the models, the base among them, in the recipe's order.
    pub models: Vec<String>,
    /// One cell for each layer of the parents.
    pub cells: Vec<LayerCell>,
    /// The groups of a recipe all of whose layers are merged; none without neighbours that are merged alike.
    pub groups: Vec<LayerGroup>,
}

/// Colours that differ also for most colour-blind readers (Okabe and Ito), the base grey.
const COLOURS: [&str; 8] = ["#8a8f98", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900"];

impl LayerMap {
    /// The map of `recipe` over parents of `layers` layers. An output layer that merges layers of several indices
    /// stands under that of its base, if the recipe says which one that is, and the others are folded into it; else
    /// under that of its first source. One beyond the parents is not shown.
    #[must_use]
    pub fn of(recipe: &Recipe, layers: usize) -> Self {
        let models: Vec<String> = recipe.models.keys().cloned().collect();
        let mut cells: Vec<LayerCell> =
            (0..layers).map(|layer| LayerCell { layer, uses: Vec::new(), folded: None }).collect();
        for (output, layer) in recipe.layers.iter().enumerate() {
            let (used, source) = layer_use(layer, output, &models);
            if let Some(cell) = cells.get_mut(source) {
                cell.uses.push(used);
            }
            if let Some((merge, _)) = fold(&layer.from) {
                for source in &merge.sources {
                    let weight = one_number(|tensor| source.parameters.number("weight", tensor).ok().flatten());
                    if let Some(cell) = cells.get_mut(source.of.layer) {
                        cell.folded = Some(Folded { output, weight });
                    }
                }
            }
        }
        Self { models, cells, groups: groups(recipe) }
    }

    /// The colour of a model in every picture, by its position in [`Self::models`], as `#rrggbb`. From the ninth model
    /// on colours are used again.
    #[must_use]
    pub fn colour(model: usize) -> &'static str {
        COLOURS[model % COLOURS.len()]
    }

    /// A column for each use of each layer, and one for each layer without a use.
    fn columns(&self) -> Vec<(&LayerCell, Option<&LayerUse>)> {
        let of = |cell: &'_ LayerCell| -> Vec<Option<usize>> {
            if cell.uses.is_empty() { vec![None] } else { (0..cell.uses.len()).map(Some).collect() }
        };
        let columns = self.cells.iter().flat_map(|cell| of(cell).into_iter().map(move |place| (cell, place)));
        columns.map(|(cell, place)| (cell, place.and_then(|place| cell.uses.get(place)))).collect()
    }
}

/// What the picture says of one output layer, and the parents' layer it stands under (a stack's first).
fn layer_use(layer: &OutputLayer, output: usize, models: &[String]) -> (LayerUse, usize) {
    let position = |name: &String| models.iter().position(|model| model == name).unwrap_or(0);
    let plain = LayerUse {
        output,
        models: Vec::new(),
        weight: None,
        method: None,
        bridged: layer.bridge.is_some(),
        scale: layer.scale,
    };
    match &layer.from {
        Expr::Take(source) => (LayerUse { models: vec![position(&source.model)], ..plain }, source.layer),
        from if fold(from).is_some() => {
            let own = fold(from).map(|(_, own)| own);
            let models = own.iter().map(|own| position(&own.model)).collect();
            (LayerUse { models, method: Some("fold".to_owned()), ..plain }, own.map_or(0, |own| own.layer))
        }
        Expr::Merge(merge) => {
            let used = LayerUse {
                models: merge.sources.iter().map(|source| position(&source.of.model)).collect(),
                weight: ["coefficient", "lambda", "t"]
                    .iter()
                    .find_map(|key| one_number(|tensor| merge.parameters.number(key, tensor).ok().flatten())),
                method: Some(merge.method.clone()),
                ..plain
            };
            (used, merge.sources.first().map_or(0, |source| source.of.layer))
        }
    }
}

/// A merge that folds other layers of a model into one of its layers, and that layer.
fn fold(from: &LayerExpr) -> Option<(&Merge<LayerRef>, LayerRef)> {
    let Expr::Merge(merge) = from else { return None };
    let base = merge.base.as_ref()?;
    let own = LayerRef { model: base.model.clone(), layer: base.layer? };
    let other = |of: &LayerRef| of.model == own.model && of.layer != own.layer;
    merge.sources.iter().all(|source| other(&source.of)).then_some((merge, own))
}

/// A number that all tensors of a layer share; none where it differs from tensor to tensor.
fn one_number(number: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let first = number("")?;
    let tensors = ["self_attn.q_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"];
    tensors.iter().all(|tensor| number(tensor) == Some(first)).then_some(first)
}

/// Neighbours that are merged alike, where all layers are merged and there are such neighbours.
fn groups(recipe: &Recipe) -> Vec<LayerGroup> {
    // The merge without the place of its layers.
    let alike = |layer: &OutputLayer| match &layer.from {
        Expr::Merge(merge) if fold(&layer.from).is_none() => {
            let mut merge = merge.clone();
            merge.sources.iter_mut().for_each(|source| source.of.layer = 0);
            merge.base.iter_mut().for_each(|base| base.layer = None);
            Some(merge)
        }
        _ => None,
    };
    let Some(merges) = recipe.layers.iter().map(alike).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let mut groups: Vec<LayerGroup> = Vec::new();
    for (output, merge) in merges.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if merges[output - 1] == *merge => group.outputs = *group.outputs.start()..=output,
            _ => groups.push(LayerGroup { outputs: output..=output, method: merge.method.clone() }),
        }
    }
    if groups.len() < merges.len() { groups } else { Vec::new() }
}

#[cfg(test)]
mod tests;
