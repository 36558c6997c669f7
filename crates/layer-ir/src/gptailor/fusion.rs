//! Layer-wise fusion as plain data: how each group of layers is merged.

use super::Context;
use crate::{Expr, Filtered, LayerExpr, LayerRef, Merge, OuterTensors, Parameters, Recipe, Setting, Source, Value};

const LINEAR: &str = "gptailor_linear";
const TASK_ARITHMETIC: &str = "gptailor_task_arithmetic";
const TIES: &str = "gptailor_ties";
const SLERP: &str = "gptailor_slerp";

/// Equal groups of neighbouring layers, each merged by a method of its own, with a number for each set of tensors.
///
/// A tensor belongs to the set of the first filter that is a part of its name, else to the last set, which has no
/// filter. "Sets" below are these, in this order: one more than there are filters.
///
/// ```
/// use layer_ir::gptailor::{Context, Fusion, GroupMerge};
///
/// let models = ["base", "math", "code"].map(|name| (name.to_owned(), format!("models/{name}")));
/// let context = Context::new(models.into(), "base");
/// let half = GroupMerge::TaskArithmetic { coefficients: vec![0.5] };
/// let math = GroupMerge::Linear { weights: vec![vec![1.0], vec![0.0]] };
/// let fusion = Fusion { filters: Vec::new(), groups: vec![half, math] };
/// let recipe = fusion.recipe(&context, 4).ok_or("four layers are two groups")?;
/// assert_eq!(Fusion::of(&recipe, &context, &[], 2), Some(fusion));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fusion {
    /// Pieces of names of tensors, in the order in which they are tried.
    pub filters: Vec<String>,
    /// The groups, the first layers' first.
    pub groups: Vec<GroupMerge>,
}

/// How the layers of a group are merged from all candidates.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupMerge {
    /// Their weighted mean.
    Linear {
        /// Of each candidate, its weight in each set; not all 0 in a set.
        weights: Vec<Vec<f64>>,
    },
    /// The base plus a coefficient times the sum of the candidates' differences.
    TaskArithmetic {
        /// The coefficient of each set.
        coefficients: Vec<f64>,
    },
    /// The same with small differences left out and one sign elected.
    Ties {
        /// The coefficient of each set.
        coefficients: Vec<f64>,
        /// The share of the smallest differences that is left out, of each set: 0 to 1, 1 excluded.
        mask_rates: Vec<f64>,
    },
    /// Two candidates, interpolated on the sphere.
    Slerp {
        /// Their numbers.
        candidates: [usize; 2],
        /// The place between the first (0) and the second one (1), of each set.
        places: Vec<f64>,
    },
}

impl Fusion {
    /// The recipe over a base of so many layers: embedding as the first group, final norm and head as the last one.
    /// None where the layers cannot be divided into the groups evenly.
    #[must_use]
    pub fn recipe(&self, context: &Context, layers: usize) -> Option<Recipe> {
        let groups = self.groups.len();
        if groups == 0 || layers < groups || !layers.is_multiple_of(groups) {
            return None;
        }
        let mut recipe = Recipe::of_base(context.models.clone(), &context.base, 0);
        recipe.base_at = context.base_at;
        for (group, merge) in self.groups.iter().enumerate() {
            let size = layers / groups;
            let of_layer = |layer| LayerExpr::Merge(self.merge(merge, context, layer)).into();
            recipe.layers.extend((group * size..(group + 1) * size).map(of_layer));
        }
        if let (Some(first), Some(last)) = (recipe.layers.first(), recipe.layers.last()) {
            recipe.outer = OuterTensors::like(&first.from, &last.from);
        }
        Some(recipe)
    }

    /// The merge of one layer.
    fn merge(&self, group: &GroupMerge, context: &Context, layer: usize) -> Merge<LayerRef> {
        let (mut method, mut shared) = (LINEAR, Parameters::default());
        let mut sources: Vec<Source<LayerRef>> = context
            .candidates
            .iter()
            .map(|model| Source { of: LayerRef { model: model.clone(), layer }, parameters: Parameters::default() })
            .collect();
        match group {
            GroupMerge::Linear { weights } => {
                for (source, weights) in sources.iter_mut().zip(weights) {
                    source.parameters.set("weight", self.by_set(weights));
                }
            }
            GroupMerge::TaskArithmetic { coefficients } => {
                method = TASK_ARITHMETIC;
                shared.set("coefficient", self.by_set(coefficients));
            }
            GroupMerge::Ties { coefficients, mask_rates } => {
                method = TIES;
                shared.set("coefficient", self.by_set(coefficients));
                shared.set("mask_rate", self.by_set(mask_rates));
            }
            GroupMerge::Slerp { candidates, places } => {
                method = SLERP;
                shared.set("t", self.by_set(places));
                sources = candidates.iter().filter_map(|candidate| sources.get(*candidate).cloned()).collect();
            }
        }
        Merge { parameters: shared, sources, ..Merge::new(method) }
    }

    /// The numbers of the sets as a setting.
    fn by_set(&self, numbers: &[f64]) -> Setting {
        let filters = self.filters.iter().cloned().map(Some).chain([None]);
        let filtered = filters.zip(numbers).map(|(filter, number)| Filtered { filter, value: Value::Number(*number) });
        Setting::Filtered(filtered.collect())
    }

    /// What may have given a recipe, read off the first layer of each of so many groups. None where those layers are
    /// no such merges; whether all else of the recipe is so, its [`Recipe::key`] beside that of [`Self::recipe`] says.
    #[must_use]
    pub fn of(recipe: &Recipe, context: &Context, filters: &[String], groups: usize) -> Option<Self> {
        let size = recipe.layers.len().checked_div(groups).filter(|size| *size > 0)?;
        let group = |group: usize| match &recipe.layers.get(group * size)?.from {
            Expr::Take(_) => None,
            Expr::Merge(merge) => GroupMerge::of(merge, context, filters),
        };
        Some(Self { filters: filters.to_vec(), groups: (0..groups).map(group).collect::<Option<_>>()? })
    }
}

impl GroupMerge {
    /// What may have given a merge.
    fn of(merge: &Merge<LayerRef>, context: &Context, filters: &[String]) -> Option<Self> {
        // A filter fits itself; no filter fits the empty name.
        let sets = || filters.iter().map(String::as_str).chain([""]);
        let numbers = |parameters: &Parameters, name: &str| {
            sets().map(|set| parameters.number(name, set).ok().flatten()).collect::<Option<Vec<f64>>>()
        };
        let shared = |name| numbers(&merge.parameters, name);
        let candidate = |source: &Source<LayerRef>| context.candidates.iter().position(|it| *it == source.of.model);
        Some(match merge.method.as_str() {
            LINEAR => {
                let weights = |model: &String| {
                    let source = merge.sources.iter().find(|source| source.of.model == *model)?;
                    numbers(&source.parameters, "weight")
                };
                Self::Linear { weights: context.candidates.iter().map(weights).collect::<Option<_>>()? }
            }
            TASK_ARITHMETIC => Self::TaskArithmetic { coefficients: shared("coefficient")? },
            TIES => Self::Ties { coefficients: shared("coefficient")?, mask_rates: shared("mask_rate")? },
            SLERP => match merge.sources.as_slice() {
                [first, second] => {
                    Self::Slerp { candidates: [candidate(first)?, candidate(second)?], places: shared("t")? }
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}
