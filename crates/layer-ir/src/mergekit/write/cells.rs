//! One output layer, or one end, as a slice of mergekit's makes it.

use super::super::methods::{Base, Method};
use super::settings::{Settings, resolved};
use super::{cannot, is_bare};
use crate::{BaseRef, End, Error, Expr, Filtered, Merge, Parameters, Place, Recipe, Value};

/// What stands in a slice for one layer; equal cells are made alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell<'a> {
    pub base: Option<Part<'a>>,
    /// Without the base.
    pub sources: Vec<Part<'a>>,
    pub shared: Settings,
    /// Of each source.
    pub own: Vec<Settings>,
}

/// A layer of a model; layer 0 where an end is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub model: &'a str,
    pub layer: usize,
}

pub(super) struct Cells<'a> {
    pub recipe: &'a Recipe,
    pub method: &'static Method,
    /// Whether mergekit rounds what passes through it.
    pub rounds: bool,
}

/// The method under which mergekit knows it.
pub(super) fn mergekit_name(method: &str) -> &str {
    if method == "gptailor_task_arithmetic" { "task_arithmetic" } else { method }
}

impl<'a> Cells<'a> {
    pub fn layer(&self, output: usize) -> Result<Cell<'a>, Error> {
        let base = |base: &'a BaseRef| Part { model: &base.model, layer: base.layer.unwrap_or(output) };
        let expr = &self.recipe.layers[output].from;
        self.cell(Place::Layer(output), expr, |of| Part { model: &of.model, layer: of.layer }, base)
    }

    pub fn end(&self, end: End) -> Result<Cell<'a>, Error> {
        let base = |base: &'a BaseRef| Part { model: &base.model, layer: 0 };
        self.cell(Place::End(end), self.recipe.ends.get(end), |of| Part { model: &of.model, layer: 0 }, base)
    }

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
                [source] if is_bare(merge) => self.through(place, part(&source.of)),
                _ => self.merged(place, merge, part, base),
            },
        }?;
        self.check(place, &cell)?;
        Ok(cell)
    }

    /// One tensor as it is.
    fn through(&self, place: Place, part: Part<'a>) -> Result<Cell<'a>, Error> {
        let none = Settings::default();
        let only = |own| Cell { base: None, sources: vec![part.clone()], shared: none.clone(), own: vec![own] };
        match self.method {
            Method { name: "passthrough", .. } => Ok(only(none.clone())),
            Method { name: "linear", .. } => Ok(only(one("weight"))),
            // A base without deltas.
            Method { base: Base::Required, sources: (1, _), .. } => {
                Ok(Cell { base: Some(part), sources: Vec::new(), shared: none, own: Vec::new() })
            }
            _ => Err(cannot(place, "it is taken as it is, which mergekit's method of the other layers cannot do")),
        }
    }

    fn merged<S>(
        &self,
        place: Place,
        merge: &'a Merge<S>,
        part: impl Fn(&'a S) -> Part<'a>,
        base: impl Fn(&'a BaseRef) -> Part<'a>,
    ) -> Result<Cell<'a>, Error> {
        let sources = merge.sources.iter().map(|source| part(&source.of)).collect();
        let base = merge.base.as_ref().map(base);
        if merge.method == "gptailor_task_arithmetic" {
            self.know(place, &merge.parameters, &["coefficient"])?;
            let lambda = resolved(&[&merge.parameters], "coefficient").map(|conditions| ("lambda", conditions));
            let (shared, own) = (lambda.into_iter().collect(), vec![one("weight"); merge.sources.len()]);
            return Ok(Cell { base, sources, shared, own });
        }
        let known = [self.method.shared, self.method.own].concat();
        self.know(place, &merge.parameters, &known)?;
        merge.sources.iter().try_for_each(|source| self.know(place, &source.parameters, self.method.own))?;
        let settings = |keys: &[&'static str], scopes: &[&Parameters]| -> Settings {
            keys.iter().filter_map(|key| Some((*key, resolved(scopes, key)?))).collect()
        };
        let own = |source: &'a crate::Source<S>| settings(self.method.own, &[&source.parameters, &merge.parameters]);
        let own = merge.sources.iter().map(own).collect();
        Ok(Cell { base, sources, shared: settings(self.method.shared, &[&merge.parameters]), own })
    }

    fn know(&self, place: Place, parameters: &Parameters, known: &[&str]) -> Result<(), Error> {
        // It changes no number.
        match parameters.keys().find(|key| !known.contains(key) && *key != "int8_mask") {
            None => Ok(()),
            Some(_) => Err(cannot(place, "it has a parameter that mergekit's method does not know, or not there")),
        }
    }

    /// Whether mergekit's method takes such a slice.
    fn check(&self, place: Place, cell: &Cell<'_>) -> Result<(), Error> {
        let (method, base) = (self.method, usize::from(cell.base.is_some()));
        match method.base {
            Base::Ignored if base == 1 => {
                return Err(cannot(place, "it names a base, of which mergekit's method makes no use"));
            }
            Base::Required if base == 0 => return Err(cannot(place, "it has no base, which mergekit's method needs")),
            _ => {}
        }
        let count = cell.sources.len() + if method.base == Base::Required { base } else { 0 };
        if count < method.sources.0 || count > method.sources.1 {
            return Err(cannot(place, "it has more or fewer sources than mergekit's method takes"));
        }
        let mut paths: Vec<_> = cell.parts().map(|part| self.recipe.models.get(part.model)).collect();
        paths.sort_unstable();
        if paths.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(cannot(place, "the same model stands twice in it, which mergekit refuses"));
        }
        let missing =
            |settings: &Settings| method.required.is_some_and(|key| settings.iter().all(|(known, _)| *known != key));
        let shared = method.required.is_some_and(|key| method.shared.contains(&key));
        let missing = if shared { missing(&cell.shared) } else { cell.own.iter().any(missing) };
        if missing {
            return Err(cannot(place, "it lacks the parameter that mergekit's method needs"));
        }
        Ok(())
    }
}

impl<'a> Cell<'a> {
    /// Its models, the base last.
    pub fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        self.sources.iter().chain(&self.base)
    }

    /// Whether an end so made is made as this layer.
    pub fn makes(&self, end: &Cell<'_>) -> bool {
        let models = |cell: &Cell<'_>| cell.parts().map(|part| part.model.to_owned()).collect::<Vec<_>>();
        let same = models(self) == models(end) && self.base.is_some() == end.base.is_some();
        same && self.shared == end.shared && self.own == end.own
    }
}

fn one(key: &'static str) -> Settings {
    vec![(key, vec![Filtered { filter: None, value: Value::Number(1.0) }])]
}
