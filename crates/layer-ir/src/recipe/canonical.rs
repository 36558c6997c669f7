//! One form for recipes that are the same model, and the hashes of it.

use serde::Serialize;

use crate::Dtype;

use super::{BaseAt, BaseRef, EndExpr, Expr, LayerExpr, LayerRef, Merge, ModelRef, Parameters, Recipe, Setting, Value};

impl Recipe {
    /// The same model in one form: bases of merges are named with their layer, a merge that is exactly one of its tensors is
    /// a take, parameters stand in alphabetical order.
    ///
    /// Exactly means to the last bit: a merge of one source that divides by its weight stays a merge.
    #[must_use]
    pub fn canonicalise(mut self) -> Self {
        let (base, at) = (self.base.clone(), self.base_at);
        self.compute = self.compute.filter(|dtype| *dtype != Dtype::F32);
        let rounds = self.compute.is_some() && self.compute != self.dtype;
        for (output, layer) in self.layers.iter_mut().enumerate() {
            if let Expr::Merge(merge) = &mut layer.from
                && needs_base(merge)
            {
                let source = merge.sources.first().map_or(output, |source| source.of.layer);
                let layer = if at == BaseAt::Source { source } else { output };
                merge
                    .base
                    .get_or_insert_with(|| BaseRef { model: base.clone(), layer: None })
                    .layer
                    .get_or_insert(layer);
            }
            simplify(&mut layer.from, rounds, |base| {
                base.layer.map(|layer| LayerRef { model: base.model.clone(), layer })
            });
        }
        for end in [&mut self.ends.embedding, &mut self.ends.final_norm, &mut self.ends.head] {
            if let Expr::Merge(merge) = end
                && needs_base(merge)
            {
                merge.base.get_or_insert_with(|| BaseRef { model: base.clone(), layer: None }).layer = None;
            }
            simplify(end, rounds, |base| Some(ModelRef { model: base.model.clone() }));
        }
        self.base_at = BaseAt::Source;
        self
    }

    /// A hash of what the model is: layers, ends, base, number format and vocabulary, not where its models lie nor how it is spoken to.
    /// Recipes of one canonical form have one key.
    #[must_use]
    pub fn key(&self) -> String {
        let canonical = self.clone().canonicalise();
        let model = (&canonical.layers, &canonical.ends, &canonical.base, canonical.dtype, canonical.compute);
        match &canonical.vocabulary {
            None => hash(&model),
            Some(vocabulary) => hash(&(model, vocabulary)),
        }
    }
}

impl LayerExpr {
    /// A hash of the expression: equal keys within one family, equal tensors.
    #[must_use]
    pub fn key(&self) -> String {
        hash(self)
    }
}

impl EndExpr {
    /// As [`LayerExpr::key`].
    #[must_use]
    pub fn key(&self) -> String {
        hash(self)
    }
}

pub(crate) fn hash(content: &impl Serialize) -> String {
    // Serialising plain data into memory cannot fail.
    let text = serde_json::to_vec(content).unwrap_or_default();
    blake3::hash(&text).to_hex()[..32].to_owned()
}

/// Methods without a base, or with one only where the merge names it.
const BASELESS: [&str; 8] = [
    "linear",
    "passthrough",
    "karcher",
    "nuslerp",
    "multislerp",
    "gptailor_linear",
    "gptailor_slerp",
    "gptailor_average",
];

fn needs_base<S>(merge: &Merge<S>) -> bool {
    merge.base.is_some() || !BASELESS.contains(&merge.method.as_str())
}

/// `rounds`: merging rounds the numbers, so that what is merged is not what was taken.
fn simplify<S: Clone + PartialEq>(expr: &mut Expr<S>, rounds: bool, base: impl Fn(&BaseRef) -> Option<S>) {
    let Expr::Merge(merge) = expr else { return };
    sort(&mut merge.parameters);
    merge.sources.iter_mut().for_each(|source| sort(&mut source.parameters));
    let taken = if is_base(merge) { merge.base.as_ref().and_then(base) } else { only_source(merge) };
    if let Some(taken) = taken.filter(|_| !rounds) {
        *expr = Expr::Take(taken);
    }
}

fn sort(parameters: &mut Parameters) {
    let settings = parameters.values_mut();
    settings.sort_unstable_keys();
    for setting in settings.values_mut() {
        if let Setting::Filtered(list) = setting
            && let [only] = list.as_slice()
            && only.filter.as_deref().is_none_or(|filter| filter == "*")
        {
            *setting = Setting::One(only.value.clone());
        }
    }
}

/// Whether the merge adds nothing to its base.
fn is_base<S>(merge: &Merge<S>) -> bool {
    let zero = |key| matches!(merge.parameters.setting(key), Some(Setting::One(Value::Number(0.0))));
    match merge.method.as_str() {
        "gptailor_task_arithmetic" | "gptailor_ties" => zero("coefficient"),
        "task_arithmetic" | "ties" => zero("lambda"),
        _ => false,
    }
}

/// The one source that a merge hands through.
fn only_source<S: Clone>(merge: &Merge<S>) -> Option<S> {
    let [source] = merge.sources.as_slice() else { return None };
    let plain = merge.parameters.is_empty() && source.parameters.is_empty();
    (merge.method == "passthrough" && plain).then(|| source.of.clone())
}
