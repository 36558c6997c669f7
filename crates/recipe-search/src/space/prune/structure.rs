//! What strategies may know of the prune space beside its dimensions: what a layer comes to, and what a change costs.

use zo_search::{Point, SpaceStructure, Value};

use super::{MODEL, PruneSpace, Selection, dimension};

/// How much the price of a proposal counts against what it promises: the power of the price by which that is divided.
const COST_EXPONENT: f64 = 0.3;

impl PruneSpace {
    /// An embedding of each layer's dimensions, and the price of a point beside a known one.
    pub(super) fn layer_structure(&self) -> SpaceStructure {
        let names = layer_names(self.whole.layers.len());
        let structure = SpaceStructure::new();
        // Elsewhere a layer's values mean no more than they say.
        let mixes = self.settings.selection() == Selection::Merged && !self.variants.is_empty();
        let structure = if mixes { structure.with_embedding(mixture) } else { structure };
        structure.with_price(move |point, known| new_layers(&names, point, known), COST_EXPONENT)
    }
}

/// What a layer's sources and coefficient come to: how much of each variant's task vector is added to the base; then
/// the output scale.
fn mixture(values: &[Option<Value>]) -> Vec<f64> {
    let number = |value: Option<&Option<Value>>| match value {
        Some(Some(Value::Float(x))) => Some(*x),
        _ => None,
    };
    let bits = match values.first() {
        Some(Some(Value::Mask(bits))) => bits.as_slice(),
        _ => &[],
    };
    let (coefficient, scale) = if bits.len() < 2 { (None, values.get(1)) } else { (values.get(1), values.get(2)) };
    let coefficient = number(coefficient).unwrap_or(1.0);
    bits.iter().map(|bit| f64::from(*bit) * coefficient).chain(number(scale)).collect()
}

/// The names of each layer's dimensions.
fn layer_names(layers: usize) -> Vec<[String; 4]> {
    (0..layers).map(|layer| ["sources", "source", "coefficient", "scale"].map(|what| dimension(layer, what))).collect()
}

/// The share of a recipe's layers that must be computed where another one's states were kept: those from the first
/// difference on.
fn new_layers(names: &[[String; 4]], point: &Point, known: &Point) -> f64 {
    let layers = names.len();
    let removed = |point: &Point, layer| point.subset("remove").is_ok_and(|items| items.contains(&layer));
    let same = |layer: &usize| {
        let mut names = names[*layer].iter();
        removed(point, *layer) == removed(known, *layer) && names.all(|name| point.get(name) == known.get(name))
    };
    if ["embedding", MODEL].iter().any(|name| point.get(name) != known.get(name)) {
        return 1.0;
    }
    let alike = (0..layers).take_while(same).filter(|layer| !removed(point, *layer)).count();
    let kept = (0..layers).filter(|layer| !removed(point, *layer)).count();
    // The head is computed in any case, and costs about as much as a layer.
    (kept - alike + 1) as f64 / (kept + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::OuterSetting;
    use crate::space::prune::tests::{settings, space};
    use crate::{Error, RecipeSpace as _};

    #[test]
    fn a_mixture_is_what_is_added_to_the_base() {
        let bits = |bits: [bool; 2]| Some(Value::Mask(bits.to_vec()));
        assert_eq!(mixture(&[bits([false, true]), None]), [0.0, 1.0]);
        assert_eq!(mixture(&[bits([true, true]), Some(Value::Float(0.5))]), [0.5, 0.5]);
        assert_eq!(mixture(&[bits([false, false]), None, Some(Value::Float(0.9))]), [0.0, 0.0, 0.9]);
        assert!(mixture(&[None, None, None]).is_empty());
        // A single variant has no coefficient.
        assert_eq!(mixture(&[Some(Value::Mask(vec![true])), Some(Value::Float(0.9))]), [1.0, 0.9]);
    }

    #[test]
    fn a_change_deep_in_the_model_costs_little() -> Result<(), Error> {
        let space = space(settings(OuterSetting::Base))?;
        let point = |removed: &[usize], models: &[&str]| space.encode(&space.uniform(removed, models, 0.5));
        let (known, names) = (point(&[2, 5], &["math"])?, layer_names(8));
        assert_eq!(new_layers(&names, &known, &known), 1.0 / 7.0);
        assert_eq!(new_layers(&names, &point(&[2, 6], &["math"])?, &known), 3.0 / 7.0);
        assert_eq!(new_layers(&names, &point(&[0, 6], &["math"])?, &known), 1.0);
        assert_eq!(new_layers(&names, &point(&[2, 5], &["code"])?, &known), 1.0);
        Ok(())
    }
}
