//! Slices become layers, their sources become takes and merges, the first and the last slice the outer tensors.

use super::File;
use super::models::Models;
use super::parameters::{Scope, resolve};
use super::slices::{Slice, SliceSource};
use crate::recipe::is_number;
use crate::{
    BaseAt, BaseRef, BaseRule, Dtype, Error, Expr, Identity, LayerRef, Merge, MethodSpec, ModelRef, OuterTensors,
    OutputLayer, Parameters, Recipe, Source, Vocabulary,
};

/// The recipe of a file whose models are found.
pub(super) fn recipe(file: &File, models: &Models<'_>) -> Result<Recipe, Error> {
    // Without a `dtype` mergekit computes in that of the weights.
    let compute = file.dtype.map_or_else(|| models.common_dtype(), Ok)?;
    let builder = Builder { file, models, compute };
    let base = file.base.as_deref().or(file.slices[0].base.as_deref()).or_else(|| models.first()).unwrap_or_default();
    Ok(Recipe {
        models: models.paths(),
        base: models.name(base),
        base_at: BaseAt::Source,
        layers: builder.layers()?,
        outer: builder.outer_tensors()?,
        dtype: Some(file.out_dtype.unwrap_or(compute)),
        compute: Some(compute).filter(|dtype| *dtype != Dtype::F32),
        tokenizer: None,
        vocabulary: builder.vocabulary()?,
        chat_template: file.chat_template.clone(),
    })
}

/// What the parts of a recipe are made from.
struct Builder<'a> {
    file: &'a File,
    models: &'a Models<'a>,
    /// The format of the arithmetic.
    compute: Dtype,
}

impl Builder<'_> {
    /// The output layers. Along a slice of `n` layers gradients go from 0 at its first to 1 at its last; for one alone
    /// they are at 1, as in mergekit.
    fn layers(&self) -> Result<Vec<OutputLayer>, Error> {
        let mut layers = Vec::new();
        for slice in &self.file.slices {
            let base = self.check(slice)?;
            for index in 0..slice.layers {
                let t = if slice.layers == 1 { 1.0 } else { index as f64 / (slice.layers - 1) as f64 };
                let model = |source: &SliceSource| self.models.name(&source.model);
                let of = |source: &SliceSource| LayerRef { model: model(source), layer: source.first + index };
                let base_of =
                    |source: &SliceSource| BaseRef { model: model(source), layer: Some(source.first + index) };
                layers.push(self.expression(slice, base, t, of, base_of).into());
            }
        }
        Ok(layers)
    }

    /// The outer tensors: the embedding by the first slice, final norm and head by the last one, gradients at 0.
    fn outer_tensors(&self) -> Result<OuterTensors, Error> {
        let (first, last) = (&self.file.slices[0], &self.file.slices[self.file.slices.len() - 1]);
        if last.sources.len() > first.sources.len() {
            let problem = "it has more sources than the first slice; mergekit leaves some of them out of the final \
                           norm and the head";
            return Err(self.file.fail(&last.key, problem));
        }
        let outer = |slice| {
            let model = |source: &SliceSource| self.models.name(&source.model);
            let of = |source: &SliceSource| ModelRef { model: model(source) };
            let base_of = |source: &SliceSource| BaseRef { model: model(source), layer: None };
            Ok::<_, Error>(self.expression(slice, self.check(slice)?, 0.0, of, base_of))
        };
        Ok(OuterTensors { embedding: outer(first)?, final_norm: outer(last)?, head: outer(last)? })
    }

    /// The scopes around a source, the innermost first.
    fn scopes_around<'s>(&'s self, slice: &'s Slice) -> [&'s Scope; 3] {
        [&slice.parameters, &self.file.module, &self.file.parameters]
    }

    /// The vocabulary, with the recipe's names of the models.
    fn vocabulary(&self) -> Result<Option<Vocabulary>, Error> {
        let file = self.file;
        let Some(mut vocabulary) = file.vocabulary.clone() else { return Ok(None) };
        let (first, last) = (&file.slices[0], &file.slices[file.slices.len() - 1]);
        // A merge with a base knows whose rows it prefers, and one source needs none.
        if file.method.spec.base == BaseRule::Never && [first, last].iter().any(|slice| slice.sources.len() > 1) {
            let base = |slice: &Slice| slice.base.clone().or_else(|| file.base.clone());
            if base(first) != base(last) {
                return Err(
                    file.fail(&last.key, "the tokenizer needs the first and the last slice to have one base model")
                );
            }
            vocabulary.prefer = base(first);
        }
        vocabulary.models_mut().for_each(|model| *model = self.models.name(model));
        Ok(Some(vocabulary))
    }

    /// Whether the method can work on the slice, and which of its sources is the base.
    fn check(&self, slice: &Slice) -> Result<Option<usize>, Error> {
        let (file, method) = (self.file, self.file.method);
        let rule = method.spec.base;
        let name = slice.base.as_ref().or(file.base.as_ref()).filter(|_| rule != BaseRule::Never);
        let base = name.and_then(|base| slice.sources.iter().position(|source| source.model == *base));
        if name.is_none() && rule == BaseRule::Always {
            return Err(file.fail("base_model", "is missing: the method needs it"));
        }
        if name.is_some() && base.is_none() {
            return Err(file.fail(&slice.key, "the base model is not among its sources"));
        }
        let aside = usize::from(rule == BaseRule::Optional && base.is_some());
        let count = slice.sources.len() - aside;
        let (least, most) = method.sources();
        if !(least..=most).contains(&count) {
            return Err(file.fail(&slice.key, "has more or fewer sources than the method takes"));
        }
        for (required, shared) in method.required() {
            self.check_required(slice, base, required, shared)?;
        }
        Ok(base)
    }

    /// Whether a parameter that the method needs is set for all sources but the base.
    fn check_required(&self, slice: &Slice, base: Option<usize>, required: &str, shared: bool) -> Result<(), Error> {
        for (index, source) in slice.sources.iter().enumerate().filter(|(index, _)| Some(*index) != base) {
            let own = (!shared).then_some(&source.parameters);
            let scopes = own.into_iter().chain(self.scopes_around(slice)).collect::<Vec<_>>();
            if resolve(&scopes, required, 0.0).is_none() {
                let key = if shared { "parameters".to_owned() } else { format!("{}: source {index}", slice.key) };
                return Err(self.file.fail(&format!("{key}.{required}"), "is missing: the method needs it"));
            }
        }
        Ok(())
    }

    /// What a slice makes of its sources at the place `t` of its gradients; `base` is the place of the base among them.
    fn expression<S>(
        &self,
        slice: &Slice,
        base: Option<usize>,
        t: f64,
        of: impl Fn(&SliceSource) -> S,
        base_of: impl Fn(&SliceSource) -> BaseRef,
    ) -> Expr<S> {
        let method = self.file.method;
        let outer = self.scopes_around(slice);
        let source = |source: &SliceSource| Source {
            of: of(source),
            parameters: parameters(method.own(), &[&source.parameters, outer[0], outer[1], outer[2]], t),
        };
        let others = slice.sources.iter().enumerate().filter(|(index, _)| Some(*index) != base);
        let mut sources: Vec<_> = others.map(|(_, other)| source(other)).collect();
        let base = base.map(|base| &slice.sources[base]);
        let through = match (base, sources.as_slice()) {
            (Some(base), []) => Some(of(base)),
            (None, [only]) if is_through(&method.spec, &only.parameters) => sources.pop().map(|s| s.of),
            _ => None,
        };
        let Some(through) = through else {
            let parameters = parameters(method.shared(), &outer, t);
            return Expr::Merge(Merge {
                method: method.spec.name.to_owned(),
                parameters,
                base: base.map(base_of),
                sources,
            });
        };
        if self.compute == Dtype::F32 || self.file.out_dtype.is_none_or(|out| out == self.compute) {
            return Expr::Take(through);
        }
        // A take would not be rounded.
        let source = Source { of: through, parameters: Parameters::default() };
        let method = "passthrough".to_owned();
        Expr::Merge(Merge { method, parameters: Parameters::default(), base: None, sources: vec![source] })
    }
}

/// Whether one source with these parameters comes out as it went in.
fn is_through(method: &MethodSpec, parameters: &Parameters) -> bool {
    let Identity::OnlySourceWhere(numbers) = method.identity else { return false };
    let holds = |(key, number): &(&str, f64)| is_number(parameters, key, *number);
    parameters.keys().count() == numbers.len() && numbers.iter().all(holds)
}

/// Those of some parameters that the scopes set, at the place `t` of their gradients.
fn parameters(keys: impl Iterator<Item = &'static str>, scopes: &[&Scope], t: f64) -> Parameters {
    let mut parameters = Parameters::default();
    for key in keys {
        if let Some(setting) = resolve(scopes, key, t) {
            parameters.set(key, setting);
        }
    }
    parameters
}
