//! Depth-wise integration as plain data: which candidates' layers are stacked at each position of the base.

use super::{Context, ScaleSite};
use crate::{Expr, Filtered, LayerExpr, Merge, OuterTensors, OutputLayer, Recipe, Value};

/// The tensor whose scale is that of what a layer's MLP adds to the stream.
const MLP_OUTPUT: &str = "mlp.down_proj";

/// At each position of the base a stack of the candidates' layers of that position.
///
/// ```
/// use layer_ir::gptailor::{Context, Stack, Stacking};
///
/// let models = ["base", "math", "code"].map(|name| (name.to_owned(), format!("models/{name}")));
/// let context = Context::new(models.into(), "base");
/// let stack = |candidates: &[usize]| Stack { candidates: candidates.to_vec(), scale: 1.0 };
/// let stacking = Stacking { positions: vec![stack(&[]), stack(&[1, 0]), stack(&[0])] };
/// let recipe = stacking.recipe(&context);
/// assert_eq!(recipe.layers.len(), 4);
/// assert_eq!(Stacking::of(&recipe, &context), Some(stacking));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Stacking {
    /// The positions that are not fixed, in their order.
    pub positions: Vec<Stack>,
}

/// What stands at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The numbers of the candidates, in the order of their layers. None: the base's layer, or with
    /// [`Context::remain_base`] off, no layer.
    pub candidates: Vec<usize>,
    /// The factor behind the last layer, where [`Context::scale_site`] says.
    pub scale: f64,
}

impl Stacking {
    /// The recipe: fixed layers of the first candidate at either end, the embedding of the first layer's model, final
    /// norm and head of the last layer's.
    #[must_use]
    pub fn recipe(&self, context: &Context) -> Recipe {
        let mut recipe = Recipe::of_base(context.models.clone(), &context.base, 0);
        recipe.base_at = context.base_at;
        let fixed_model = context.candidates.first().unwrap_or(&context.base);
        let fixed = |layers: std::ops::Range<usize>| layers.map(|layer| OutputLayer::take(fixed_model, layer));
        recipe.layers.extend(fixed(0..context.fixed_layers));
        // The models of the first and of the last layer: a layer whose MLP is scaled is a merge, and the ends are not.
        let (mut first, mut last) = (None, None);
        for (position, stack) in self.positions.iter().enumerate() {
            let layer = context.fixed_layers + position;
            let models = stack.models(context);
            recipe.layers.extend(models.iter().map(|model| OutputLayer::take(model, layer)));
            if let (Some(end), Some(model)) = (recipe.layers.last_mut(), models.last()) {
                scale(end, stack.scale, context.scale_site, (model, layer));
                first = first.or(models.first().copied());
                last = Some(*model);
            }
        }
        let before_end = context.fixed_layers + self.positions.len();
        recipe.layers.extend(fixed(before_end..before_end + context.fixed_layers));
        if context.fixed_layers > 0 {
            (first, last) = (Some(fixed_model.as_str()), Some(fixed_model.as_str()));
        }
        if let (Some(first), Some(last)) = (first, last) {
            let take = |model| OutputLayer::take(model, 0).from;
            recipe.outer = OuterTensors::like(&take(first), &take(last));
        }
        recipe
    }

    /// What may have given a recipe. None where its layers are no such stacks; whether all else of the recipe is so,
    /// its [`Recipe::key`] beside that of [`Self::recipe`] says.
    #[must_use]
    pub fn of(recipe: &Recipe, context: &Context) -> Option<Self> {
        let fixed = context.fixed_layers;
        let layers = recipe.layers.get(fixed..recipe.layers.len().checked_sub(fixed)?)?;
        let mut positions: Vec<Stack> = Vec::new();
        for layer in layers {
            let (model, source, scale) = taken(layer)?;
            let position = source.checked_sub(fixed)?;
            if position + 1 < positions.len() {
                return None;
            }
            positions.resize_with(position + 1, || Stack { candidates: Vec::new(), scale: 1.0 });
            let stack = positions.last_mut()?;
            stack.scale = scale;
            if *model != context.base {
                stack.candidates.push(context.candidates.iter().position(|candidate| candidate == model)?);
            }
        }
        Some(Self { positions })
    }
}

impl Stack {
    /// The models whose layers are stacked.
    fn models<'a>(&self, context: &'a Context) -> Vec<&'a str> {
        let of = |candidate: &usize| context.candidates.get(*candidate).map(String::as_str);
        let mut models: Vec<&str> = self.candidates.iter().filter_map(of).collect();
        if models.is_empty() && context.remain_base {
            models.push(&context.base);
        }
        models
    }
}

/// Scales a layer that is taken from `of`, where the scale says something.
fn scale(end: &mut OutputLayer, scale: f64, site: ScaleSite, (model, layer): (&str, usize)) {
    match site {
        ScaleSite::Stream => end.scale = scale as f32,
        ScaleSite::Mlp if scale == 1.0 => {}
        ScaleSite::Mlp => {
            let by_tensor = |filter: Option<&str>, scale| {
                let filter = filter.map(str::to_owned);
                Filtered { filter, value: Value::Number(scale) }
            };
            let scales = vec![by_tensor(Some(MLP_OUTPUT), scale), by_tensor(None, 1.0)];
            end.from = LayerExpr::Merge(Merge::new("passthrough").with("scale", scales).source(model, layer));
        }
    }
}

/// The model, its layer and the scale of an output layer that is taken from a model.
fn taken(layer: &OutputLayer) -> Option<(&String, usize, f64)> {
    match &layer.from {
        Expr::Take(of) => Some((&of.model, of.layer, f64::from(layer.scale))),
        Expr::Merge(merge) => match merge.sources.as_slice() {
            [only] if merge.method == "passthrough" => {
                let scale = merge.parameters.number("scale", MLP_OUTPUT).ok().flatten()?;
                Some((&only.of.model, only.of.layer, scale))
            }
            _ => None,
        },
    }
}
