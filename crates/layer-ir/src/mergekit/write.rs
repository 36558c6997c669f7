//! A recipe as mergekit's YAML.
//!
//! Each output layer and each outer tensor becomes a [`Cell`]; neighbouring cells that are alike become slices, whose
//! parameters become gradients; what all slices share moves up to the file.

mod cells;
mod settings;
mod slices;
mod tokenizer;

use std::path::Path;

use serde_yaml_ng::{Mapping, Value as Yaml};

use super::methods::Method;
use crate::{BaseRule, Dtype, Error, Expr, Family, Identity, Merge, Methods, OuterTensor, Place, Recipe, ValidRecipe};
use cells::{Cell, Cells};
use slices::{Slice, plan};

/// The mergekit file that makes a recipe's model. Read again, it gives the same recipe, with models named by the last
/// part of their paths and formats and parameters written out.
///
/// A `gptailor_task_arithmetic` becomes mergekit's `task_arithmetic` with all weights 1 and `lambda` as its
/// coefficient, which is the same sum. A slice without layers stands for an outer tensor that is not made as the layer
/// next to it.
///
/// # Errors
/// [`Error::NotMergekit`] and its like where mergekit cannot say something, by its place: output scales, bridges,
/// several methods, other methods than its own, GPTailor's vocabularies, ...
pub fn to_yaml(recipe: &ValidRecipe, family: &Family, methods: &dyn Methods) -> Result<String, Error> {
    Ok(serde_yaml_ng::to_string(&Writer::new(recipe, family, methods)?.file()?)?)
}

/// What the file is written from.
struct Writer<'a> {
    recipe: &'a Recipe,
    family: &'a Family,
    /// The file's one method.
    method: Method,
    slices: Vec<Slice<'a>>,
    embedding: Cell<'a>,
    head: Cell<'a>,
    /// What merges compute in.
    compute: Dtype,
    /// What the model is stored in.
    dtype: Dtype,
}

impl<'a> Writer<'a> {
    /// Plans the file; refuses what mergekit cannot say.
    fn new(recipe: &'a ValidRecipe, family: &'a Family, methods: &'a dyn Methods) -> Result<Self, Error> {
        if let Some(layer) = recipe.layers.iter().position(|layer| layer.scale != 1.0) {
            return Err(cannot(
                Place::Layer(layer),
                "an output scale is nothing that mergekit knows; `tailor merge` folds it into the weights",
            ));
        }
        if let Some(layer) = recipe.layers.iter().position(|layer| layer.bridge.is_some()) {
            return Err(cannot(
                Place::Layer(layer),
                "a bridge is nothing that mergekit knows; `tailor merge` adds it to the weights",
            ));
        }
        let method = method(recipe, methods)?;
        let compute = recipe.compute.unwrap_or(Dtype::F32);
        let dtype = recipe.dtype.map_or_else(|| dtype_of(family), Ok)?;
        let cells = Cells { recipe, methods, method, rounds: compute != Dtype::F32 && compute != dtype };
        let layers: Vec<_> = (0..recipe.layers.len()).map(|layer| cells.layer(layer)).collect::<Result<_, _>>()?;
        let (embedding, norm) = (cells.outer(OuterTensor::Embedding)?, cells.outer(OuterTensor::FinalNorm)?);
        let tied = family.base().outer_name(OuterTensor::Head).is_none();
        let head = if tied { norm.clone() } else { cells.outer(OuterTensor::Head)? };
        if head != norm {
            return Err(cannot(Place::Outer(OuterTensor::Head), "mergekit makes the head as the final norm"));
        }
        let slices = plan(&layers, &embedding, &norm)?;
        Ok(Self { recipe, family, method, slices, embedding, head, compute, dtype })
    }

    /// The file.
    fn file(mut self) -> Result<Yaml, Error> {
        let mut file = Mapping::new();
        file.insert("merge_method".into(), self.method.mergekit.method.into());
        let base = self.file_base()?;
        if let Some(base) = base {
            file.insert("base_model".into(), self.reference(base));
        }
        file.insert("dtype".into(), self.compute.torch_name().into());
        if self.dtype != self.compute {
            file.insert("out_dtype".into(), self.dtype.torch_name().into());
        }
        let shared = slices::hoist(&mut self.slices, &self.method);
        if !shared.is_empty() {
            file.insert("parameters".into(), shared.into());
        }
        self.tokenizer(&mut file)?;
        match self.models(base) {
            Some(models) => file.insert("models".into(), models),
            None => file.insert("slices".into(), self.slices.iter().map(|slice| self.slice(slice, base)).collect()),
        };
        Ok(file.into())
    }

    /// The file's own base model. Slices may have others.
    fn file_base(&self) -> Result<Option<&'a str>, Error> {
        let base = self.recipe.base.as_str();
        let open = match self.method.spec.base {
            BaseRule::Always => false,
            // A base of the file would be the base of every slice.
            BaseRule::Optional => self.slices.iter().any(|slice| slice.base.is_none()),
            // It would be the model whose rows are preferred.
            BaseRule::Never => self.prefers_none(),
        };
        if !open {
            return Ok(Some(base));
        }
        let slice = &self.slices[0];
        let first = slice.base.as_ref().or(slice.sources.first().map(|source| &source.part));
        if first.is_some_and(|part| part.model == base) {
            return Ok(None);
        }
        Err(cannot(
            Place::Base,
            "mergekit takes the config of the first model where no base model is named, and cannot name one here",
        ))
    }

    /// Whether no model's rows may be preferred, though it would matter.
    fn prefers_none(&self) -> bool {
        self.preference_matters()
            && self.recipe.vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.prefer.is_none())
    }

    /// Whether an outer tensor is merged from several models without a base.
    fn preference_matters(&self) -> bool {
        [&self.embedding, &self.head].into_iter().any(|outer| outer.base.is_none() && outer.sources.len() > 1)
    }

    /// The base that the first and the last slice name for the tokenizer alone.
    fn preferred(&self) -> Option<&'a str> {
        let prefer = self.recipe.vocabulary.as_ref()?.prefer.as_deref()?;
        (self.method.spec.base == BaseRule::Never && self.preference_matters()).then_some(prefer)
    }

    /// The short form: all layers of all models, if that is what the one slice has.
    fn models(&self, base: Option<&str>) -> Option<Yaml> {
        let [slice] = self.slices.as_slice() else { return None };
        let parts = || slice.sources.iter().map(|source| &source.part).chain(&slice.base);
        let whole = |model: &str| self.family.get(model).is_ok_and(|model| model.num_layers() == slice.length);
        let named = base.is_none_or(|base| parts().any(|part| part.model == base));
        let same_base = slice.base.as_ref().is_none_or(|part| Some(part.model) == base);
        let preferred = self.preferred().is_none_or(|prefer| Some(prefer) == base);
        let fits = named && same_base && preferred && slice.shared.is_empty();
        if !fits || !parts().all(|part| part.layer == 0 && whole(part.model)) {
            return None;
        }
        let entry = |model: &str, own: &Mapping| {
            let mut entry = Mapping::new();
            entry.insert("model".into(), self.reference(model));
            if !own.is_empty() {
                entry.insert("parameters".into(), own.clone().into());
            }
            Yaml::from(entry)
        };
        let sources = slice.sources.iter().map(|source| entry(source.part.model, &source.own));
        // The base comes in by itself, but not alone.
        let alone = slice.base.iter().filter(|_| slice.sources.is_empty());
        Some(sources.chain(alone.map(|part| entry(part.model, &Mapping::new()))).collect())
    }

    /// One item of `slices`.
    fn slice(&self, slice: &Slice<'_>, base: Option<&str>) -> Yaml {
        let source = |part: &cells::Part<'_>, own: &Mapping| {
            let mut source = Mapping::new();
            source.insert("model".into(), self.reference(part.model));
            source.insert("layer_range".into(), [part.layer, part.layer + slice.length].into_iter().collect());
            if !own.is_empty() {
                source.insert("parameters".into(), own.clone().into());
            }
            Yaml::from(source)
        };
        let sources = slice.sources.iter().map(|of| source(&of.part, &of.own));
        let none = Mapping::new();
        let mut written = Mapping::new();
        written.insert("sources".into(), sources.chain(slice.base.iter().map(|part| source(part, &none))).collect());
        let own_base = slice.base.as_ref().map(|part| part.model).or(self.preferred());
        if let Some(model) = own_base.filter(|model| Some(*model) != base) {
            written.insert("base_model".into(), self.reference(model));
        }
        if !slice.shared.is_empty() {
            written.insert("parameters".into(), slice.shared.clone().into());
        }
        written.into()
    }

    /// A model as mergekit names it.
    fn reference(&self, model: &str) -> Yaml {
        let path = self.recipe.models.get(model).map_or(model, String::as_str);
        // In a text, these would begin an adapter or a revision.
        let parts = path.contains('+') || path.contains('@') && Path::new(path).exists();
        if parts { mapped(path) } else { path.into() }
    }
}

/// A model as the mapping that is never taken for anything else.
fn mapped(path: &str) -> Yaml {
    let path = Mapping::from_iter([("path".into(), path.into())]);
    Mapping::from_iter([("model".into(), path.into())]).into()
}

/// The one method of all merges, by mergekit's name; that of takes where there is no merge.
fn method(recipe: &Recipe, methods: &dyn Methods) -> Result<Method, Error> {
    let layers =
        recipe.layers.iter().enumerate().map(|(layer, of)| (Place::Layer(layer), mergekit_name(&of.from, methods)));
    let outer = OuterTensor::ALL
        .into_iter()
        .map(|outer| (Place::Outer(outer), mergekit_name(recipe.outer.get(outer), methods)));
    let mut first = None;
    for (place, name) in layers.chain(outer) {
        let Some(name) = name else { continue };
        let method = name.map_err(|method| Error::MergekitNoMethod { place, method })?;
        let first = *first.get_or_insert(method);
        if first != method {
            return Err(Error::MergekitMethods { place, method: method.to_owned(), first: first.to_owned() });
        }
    }
    let name = first.unwrap_or("passthrough");
    let unread = || Error::MergekitNoMethod { place: Place::Base, method: name.to_owned() };
    Method::named(methods, name).ok_or_else(unread)
}

/// mergekit's name of a merge's method, or our name if mergekit does not have the method; `None` for what is not
/// merged.
fn mergekit_name<S>(expr: &Expr<S>, methods: &dyn Methods) -> Option<Result<&'static str, String>> {
    match expr {
        Expr::Merge(merge) if !is_bare(merge, methods) => {
            let spec = methods.spec(&merge.method).ok();
            let mergekit = spec.and_then(|spec| spec.mergekit);
            Some(mergekit.map(|mergekit| mergekit.method).ok_or_else(|| merge.method.clone()))
        }
        _ => None,
    }
}

/// Whether a merge is a take that is rounded.
fn is_bare<S>(merge: &Merge<S>, methods: &dyn Methods) -> bool {
    let plain = Identity::OnlySourceWhere(&[]);
    methods.spec(&merge.method).is_ok_and(|spec| spec.identity == plain)
        && merge.parameters.is_empty()
        && merge.sources.len() == 1
        && merge.sources.iter().all(|source| source.parameters.is_empty())
}

/// The one format of the base, in which a recipe that does not say otherwise is written.
fn dtype_of(family: &Family) -> Result<Dtype, Error> {
    let base = family.base();
    let mut others = base.tensor_names().filter_map(|name| base.tensor(name).ok()).map(|view| view.dtype);
    if others.all(|dtype| dtype == base.dtype()) {
        return Ok(base.dtype());
    }
    Err(cannot(
        Place::Base,
        "it stores its tensors in several formats; say in the recipe's `dtype` which one is written",
    ))
}

/// The error of what mergekit cannot say.
fn cannot(place: Place, problem: &'static str) -> Error {
    Error::NotMergekit { place, problem }
}
