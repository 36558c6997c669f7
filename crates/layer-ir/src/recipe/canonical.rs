//! One form for recipes that are the same model, and the hashes of it.

use std::path::PathBuf;

use serde::Serialize;

use crate::Dtype;

use super::{
    BaseAt, BaseRef, BaseRule, Expr, LayerExpr, LayerRef, Merge, Methods, ModelRef, OuterExpr, Parameters, Recipe,
    Setting,
};

impl Recipe {
    /// The same model in one form: methods have their first name, bases of merges are named with their layer, a merge
    /// that is exactly one of its tensors is a take, parameters stand in alphabetical order. What a method needs and
    /// when it is one of its tensors stands in its description; a merge by a method that is not there stays as it is
    /// written.
    ///
    /// Exactly means to the last bit: a merge of one source that divides by its weight stays a merge.
    #[must_use]
    pub fn canonicalise(mut self, methods: &dyn Methods) -> Self {
        let (base, at) = (self.base.clone(), self.base_at);
        self.compute = self.compute.filter(|dtype| *dtype != Dtype::F32);
        let rounds = self.compute.is_some() && self.compute != self.dtype;
        for (output, layer) in self.layers.iter_mut().enumerate() {
            let layer_of_base = |merge: &Merge<LayerRef>| {
                let source = merge.sources.first().map_or(output, |source| source.of.layer);
                Some(if at == BaseAt::Source { source } else { output })
            };
            let taken = |base: &BaseRef| base.layer.map(|layer| LayerRef { model: base.model.clone(), layer });
            simplify(&mut layer.from, methods, rounds, &base, layer_of_base, taken);
        }
        for outer in [&mut self.outer.embedding, &mut self.outer.final_norm, &mut self.outer.head] {
            let taken = |base: &BaseRef| Some(ModelRef { model: base.model.clone() });
            simplify(outer, methods, rounds, &base, |_| None, taken);
        }
        self.base_at = BaseAt::Source;
        self
    }

    /// A hash of what the model is: layers, outer tensors, base, number format and vocabulary, but neither where its
    /// models and bridges lie nor its chat template. Recipes of one canonical form have one key. Numbers that are not
    /// finite, which [`Recipe::validate`] refuses, are all one.
    #[must_use]
    pub fn key(&self, methods: &dyn Methods) -> String {
        self.clone().canonicalise(methods).canonical_key()
    }

    /// The key of a recipe in canonical form.
    pub(super) fn canonical_key(&self) -> String {
        let mut layers = self.layers.clone();
        for bridge in layers.iter_mut().filter_map(|layer| layer.bridge.as_mut()) {
            bridge.file = PathBuf::new();
        }
        let model = (&layers, &self.outer, &self.base, self.dtype, self.compute);
        match &self.vocabulary {
            None => hash(&model),
            Some(vocabulary) => hash(&(model, vocabulary)),
        }
    }
}

impl LayerExpr {
    /// A hash of the expression as it is written.
    #[must_use]
    pub fn key(&self) -> String {
        hash(self)
    }
}

impl OuterExpr {
    /// As [`LayerExpr::key`].
    #[must_use]
    pub fn key(&self) -> String {
        hash(self)
    }
}

/// 128 bits of BLAKE3 over the JSON of plain data, as 32 hexadecimal digits: too many for two contents to share them.
pub(crate) fn hash(content: &impl Serialize) -> String {
    // Serialising plain data into memory cannot fail.
    let text = serde_json::to_vec(content).unwrap_or_default();
    blake3::hash(&text).to_hex()[..32].to_owned()
}

/// Brings one expression into canonical form. `rounds`: merging rounds the numbers, so that what is merged is not what
/// was taken.
fn simplify<S: Clone>(
    expr: &mut Expr<S>,
    methods: &dyn Methods,
    rounds: bool,
    base: &str,
    layer_of_base: impl Fn(&Merge<S>) -> Option<usize>,
    taken: impl Fn(&BaseRef) -> Option<S>,
) {
    let Expr::Merge(merge) = expr else { return };
    sort(&mut merge.parameters);
    merge.sources.iter_mut().for_each(|source| sort(&mut source.parameters));
    let Ok(spec) = methods.spec(&merge.method) else { return };
    merge.method = spec.name.to_owned();
    let default_layer = layer_of_base(merge);
    match spec.base {
        BaseRule::Never => merge.base = None,
        BaseRule::Optional => {}
        BaseRule::Always => {
            merge.base.get_or_insert_with(|| BaseRef { model: base.to_owned(), layer: None });
        }
    }
    if let Some(base) = &mut merge.base {
        // At the outer tensors, where there are no layers, a base has none.
        base.layer = default_layer.map(|layer| base.layer.unwrap_or(layer));
    }
    let base_alone = merge.base.as_ref().filter(|_| spec.is_base(merge)).and_then(taken);
    let same = base_alone.or_else(|| spec.only_source(merge).cloned());
    if let Some(same) = same.filter(|_| !rounds) {
        *expr = Expr::Take(same);
    }
}

/// Parameters in alphabetical order; a list of one entry for all tensors becomes its value.
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
