//! Which models' bridges a layer's bridge is made of.
//!
//! The bridge behind a merged layer is the merge of its sources' bridges, with the coefficients of the layer: where the
//! merge is linear in its tensors, that is the down projection which merging the mended models gives. With task
//! arithmetic, `B + c Σ (W_m − B)`, the delta is `Δ_B + c Σ (Δ_m − Δ_B)`.

use layer_ir::{BridgeRef, Error as IrError, Expr, LayerExpr, LayerRef, Merge, Parameters, Recipe};
use safetensors::SafeTensors;

use super::recipe::{next_layer, source_layer};
use super::{DownProjDelta, Gap};

/// The tensor that parameters of a merge are read for.
const DOWN_PROJ: &str = "mlp.down_proj.weight";

/// A layer of a recipe before a gap, taken from a model or merged from layers of one index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceGap {
    /// The layer's place in the recipe, from 0.
    pub place: usize,
    /// The gap in the models.
    pub gap: Gap,
    /// The models whose bridges over the gap are added up, each with its coefficient.
    pub sources: Vec<(String, f64)>,
}

/// The gaps of a recipe in canonical form whose models have so many `layers`, those behind merged layers too.
pub(crate) fn source_gaps(recipe: &Recipe, layers: usize) -> Vec<SourceGap> {
    let gap = |(place, from): (usize, &LayerExpr)| {
        let after = source_layer(from)?;
        let length = next_layer(recipe, place, layers)?.checked_sub(after + 1).filter(|length| *length > 0)?;
        Some(SourceGap { place, gap: Gap { after, length }, sources: coefficients(from) })
    };
    recipe.layers.iter().map(|layer| &layer.from).enumerate().filter_map(gap).collect()
}

/// The models of a layer with the coefficients of their tensors. Of a merge that is not linear, or not known to be, or
/// whose base is a layer of another index, all sources count alike.
fn coefficients(from: &LayerExpr) -> Vec<(String, f64)> {
    match from {
        Expr::Take(of) => vec![(of.model.clone(), 1.0)],
        Expr::Merge(merge) => linear(merge).unwrap_or_else(|| {
            let share = 1.0 / merge.sources.len().max(1) as f64;
            merge.sources.iter().map(|source| (source.of.model.clone(), share)).collect()
        }),
    }
}

/// The coefficients of a merge that is linear in its tensors.
fn linear(merge: &Merge<LayerRef>) -> Option<Vec<(String, f64)>> {
    let number = |parameters: &Parameters, key: &str| parameters.number(key, DOWN_PROJ).ok().flatten();
    let with = |coefficient: &dyn Fn(&Parameters) -> f64| -> Vec<(String, f64)> {
        merge.sources.iter().map(|source| (source.of.model.clone(), coefficient(&source.parameters))).collect()
    };
    match merge.method.as_str() {
        "gptailor_task_arithmetic" => {
            let base = merge.base.as_ref()?;
            let of_sources = merge.sources.first().map(|source| source.of.layer);
            if base.layer != of_sources {
                return None;
            }
            let coefficient = number(&merge.parameters, "coefficient")?;
            let of_base = (base.model.clone(), 1.0 - coefficient * merge.sources.len() as f64);
            Some(std::iter::once(of_base).chain(with(&|_| coefficient)).collect())
        }
        "linear" | "gptailor_linear" => {
            let weights = with(&|parameters| number(parameters, "weight").unwrap_or(1.0));
            let is_divided = merge.parameters.flag("normalize", DOWN_PROJ).ok()?.unwrap_or(true);
            let total: f64 = if is_divided { weights.iter().map(|(_, weight)| weight).sum() } else { 1.0 };
            Some(weights.into_iter().map(|(model, weight)| (model, weight / total)).collect())
        }
        _ => None,
    }
}

impl DownProjDelta {
    /// Reads what [`DownProjDelta::write`] wrote; none if the file is gone or is another one by now.
    pub(crate) fn read(bridge: &BridgeRef) -> Option<Self> {
        let bytes = std::fs::read(&bridge.file).ok()?;
        if blake3::hash(&bytes).to_hex().as_str() != bridge.hash {
            return None;
        }
        let tensors = SafeTensors::deserialize(&bytes).ok()?;
        let stored = tensors.tensor(DOWN_PROJ).ok()?;
        let [hidden, intermediate] = *stored.shape() else { return None };
        let values = stored.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some(Self { hidden, intermediate, values })
    }

    /// The sum of deltas of one shape, each times its coefficient, in f64; none of no deltas.
    pub(crate) fn sum(parts: &[(Self, f64)]) -> Option<Self> {
        let (first, _) = parts.first()?;
        let mut sums = vec![0.0_f64; first.values.len()];
        for (delta, coefficient) in parts {
            sums.iter_mut().zip(&delta.values).for_each(|(sum, value)| *sum += coefficient * f64::from(*value));
        }
        Some(Self { values: sums.into_iter().map(|sum| sum as f32).collect(), ..*first })
    }
}

/// The down projection of a layer of a model, `[hidden, intermediate]`, row after row.
///
/// # Errors
/// When the model has no such tensor.
pub(crate) fn down_proj(family: &layer_ir::Family, model: &str, layer: usize) -> Result<Vec<f32>, IrError> {
    let checkpoint = family.get(model)?;
    Ok(checkpoint.tensor(&checkpoint.layer_tensor_name(layer, DOWN_PROJ))?.to_f32())
}

#[cfg(test)]
mod tests {
    use layer_ir::{BaseRef, OutputLayer};
    use merge_ops::Registry;

    use super::*;

    #[test]
    fn a_merged_layer_has_the_coefficients_of_its_merge() {
        let merge = |method: &str| Merge::new(method).source("math", 2).source("code", 2);
        let base = |layer| Some(BaseRef { model: "base".to_owned(), layer });
        let arithmetic = Merge { base: base(None), ..merge("gptailor_task_arithmetic").with("coefficient", 0.3) };
        let other_base = Merge { base: base(Some(1)), ..arithmetic.clone() };
        let expected: [(Merge<_>, &[f64]); 4] = [
            (arithmetic, &[0.4, 0.3, 0.3]),
            (other_base, &[0.5, 0.5]),
            (merge("linear").with("normalize", false), &[1.0, 1.0]),
            (Merge { base: base(None), ..merge("ties").with("density", 0.5) }, &[0.5, 0.5]),
        ];
        for (merge, expected) in expected {
            let mut recipe = Recipe::of_base([].into(), "base", 6);
            let method = merge.method.clone();
            recipe.layers[2] = OutputLayer::merge(merge);
            recipe.layers.drain(3..5);
            let found = source_gaps(&recipe.canonicalise(&Registry::standard()), 6);
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].place, found[0].gap), (2, Gap { after: 2, length: 2 }));
            let coefficients: Vec<f64> = found[0].sources.iter().map(|(_, coefficient)| *coefficient).collect();
            assert_eq!(coefficients.len(), expected.len(), "{method}");
            let near = coefficients.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(near, "{method}: {coefficients:?}");
        }
    }
}
