//! One output layer, or one outer tensor, as a slice of mergekit's makes it.

use super::super::methods::Method;
use super::settings::{Settings, resolved};
use super::{cannot, is_bare};
use crate::{
    BaseRef, BaseRule, Error, Expr, Filtered, Identity, Merge, Methods, OuterTensor, Parameters, Place, Recipe, Value,
};

/// What stands in a slice for one layer; equal cells are made alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell<'a> {
    pub base: Option<Part<'a>>,
    /// Without the base.
    pub sources: Vec<Part<'a>>,
    /// Parameters of the merge.
    pub shared: Settings,
    /// Of each source.
    pub own: Vec<Settings>,
}

/// A layer of a model; layer 0 where an outer tensor is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub model: &'a str,
    pub layer: usize,
}

/// What cells are made from.
pub(super) struct Cells<'a> {
    pub recipe: &'a Recipe,
    pub methods: &'a dyn Methods,
    /// The file's method.
    pub method: Method,
    /// Whether mergekit rounds what passes through it.
    pub rounds: bool,
}

impl<'a> Cells<'a> {
    /// That of an output layer.
    pub fn layer(&self, output: usize) -> Result<Cell<'a>, Error> {
        let base = |base: &'a BaseRef| Part { model: &base.model, layer: base.layer.unwrap_or(output) };
        let expr = &self.recipe.layers[output].from;
        self.cell(Place::Layer(output), expr, |of| Part { model: &of.model, layer: of.layer }, base)
    }

    /// That of an outer tensor.
    pub fn outer(&self, outer: OuterTensor) -> Result<Cell<'a>, Error> {
        let base = |base: &'a BaseRef| Part { model: &base.model, layer: 0 };
        self.cell(Place::Outer(outer), self.recipe.outer.get(outer), |of| Part { model: &of.model, layer: 0 }, base)
    }

    /// That of an expression; `part` and `base` say which layers its sources and its base are.
    fn cell<S>(
        &self,
        place: Place,
        expr: &'a Expr<S>,
        part: impl Fn(&'a S) -> Part<'a>,
        base: impl Fn(&'a BaseRef) -> Part<'a>,
    ) -> Result<Cell<'a>, Error> {
        let cell = match expr {
            Expr::Take(_) if self.rounds => Err(cannot(
                place,
                "mergekit would round it to the recipe's `compute`; merge it by `passthrough` for that",
            )),
            Expr::Take(of) => self.through(place, part(of)),
            Expr::Merge(merge) => match merge.sources.as_slice() {
                [source] if is_bare(merge, self.methods) => self.through(place, part(&source.of)),
                _ => self.merged(place, merge, part, base),
            },
        }?;
        self.check(place, &cell)?;
        Ok(cell)
    }

    /// One tensor as it is.
    fn through(&self, place: Place, part: Part<'a>) -> Result<Cell<'a>, Error> {
        if let Identity::OnlySourceWhere(numbers) = self.method.spec.identity {
            let own = numbers.iter().map(|(key, number)| fixed(key, *number)).collect();
            return Ok(Cell { base: None, sources: vec![part], shared: Settings::default(), own: vec![own] });
        }
        if self.method.mergekit.base_alone {
            return Ok(Cell { base: Some(part), sources: Vec::new(), shared: Settings::default(), own: Vec::new() });
        }
        Err(cannot(place, "it is taken as it is, which mergekit's method of the other layers cannot do"))
    }

    /// That of a merge, with mergekit's names of the parameters.
    fn merged<S>(
        &self,
        place: Place,
        merge: &'a Merge<S>,
        part: impl Fn(&'a S) -> Part<'a>,
        base: impl Fn(&'a BaseRef) -> Part<'a>,
    ) -> Result<Cell<'a>, Error> {
        let sources = merge.sources.iter().map(|source| part(&source.of)).collect();
        let base = merge.base.as_ref().map(base);
        let method = self.methods.spec(&merge.method).ok().and_then(Method::of).unwrap_or(self.method);
        let known: Vec<_> = method.shared().chain(method.own()).chain(method.mergekit.silent.iter().copied()).collect();
        let known_of_source: Vec<_> = method.own().collect();
        check_known(place, &merge.parameters, &known)?;
        merge.sources.iter().try_for_each(|source| check_known(place, &source.parameters, &known_of_source))?;
        let setting = |key: &'static str, scopes: &[&Parameters]| Some((method.renamed(key), resolved(scopes, key)?));
        let own = |source: &'a crate::Source<S>| -> Settings {
            let fixed = method.mergekit.fixed.iter().map(|(key, number)| fixed(key, *number));
            fixed.chain(method.own().filter_map(|key| setting(key, &[&source.parameters, &merge.parameters]))).collect()
        };
        let own = merge.sources.iter().map(own).collect();
        Ok(Cell {
            base,
            sources,
            shared: method.shared().filter_map(|key| setting(key, &[&merge.parameters])).collect(),
            own,
        })
    }

    /// Whether mergekit's method takes such a slice.
    fn check(&self, place: Place, cell: &Cell<'_>) -> Result<(), Error> {
        let (method, base) = (self.method, usize::from(cell.base.is_some()));
        let needs_base = method.spec.base == BaseRule::Always;
        if needs_base && base == 0 {
            return Err(cannot(place, "it has no base, which mergekit's method needs"));
        }
        let count = cell.sources.len() + if needs_base { base } else { 0 };
        let (least, most) = method.sources();
        if !(least..=most).contains(&count) {
            return Err(cannot(place, "it has more or fewer sources than mergekit's method takes"));
        }
        let mut paths: Vec<_> = cell.parts().map(|part| self.recipe.models.get(part.model)).collect();
        paths.sort_unstable();
        if paths.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(cannot(place, "the same model stands twice in it, which mergekit refuses"));
        }
        Ok(())
    }
}

impl<'a> Cell<'a> {
    /// Its models, the base last.
    pub fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.sources.iter().chain(&self.base)
    }

    /// Whether an outer tensor so made is made as this layer.
    pub fn makes(&self, outer: &Cell<'_>) -> bool {
        let models = |cell: &Cell<'_>| cell.parts().map(|part| part.model.to_owned()).collect::<Vec<_>>();
        let same = models(self) == models(outer) && self.base.is_some() == outer.base.is_some();
        same && self.shared == outer.shared && self.own == outer.own
    }
}

/// A parameter that is one number for all tensors.
fn fixed(key: &'static str, number: f64) -> (&'static str, Vec<Filtered>) {
    (key, vec![Filtered { filter: None, value: Value::Number(number) }])
}

/// Whether mergekit's method has all parameters that are set.
fn check_known(place: Place, parameters: &Parameters, known: &[&str]) -> Result<(), Error> {
    match parameters.keys().find(|key| !known.contains(key)) {
        None => Ok(()),
        Some(_) => Err(cannot(place, "it has a parameter that mergekit's method does not know, or not there")),
    }
}
