//! What a merge method is, said once: by this, recipes are brought into canonical form, checked, keyed, read from
//! mergekit and written for it.

use tailor_registry::{DefaultValue, Parameter};

use super::{Merge, MergeSettings, MethodError, Parameters, Setting, Value};
use crate::Dtype;

/// The description of a merge method.
///
/// It is plain constant data. `new` gives a method of any number of sources without base and parameters; the rest is
/// said by a struct update:
/// ```
/// use layer_ir::{BaseRule, Identity, MethodSpec};
/// use tailor_registry::Parameter;
///
/// const SPEC: MethodSpec = MethodSpec {
///     base: BaseRule::Always,
///     shared: &[Parameter::number("coefficient", -10.0, 10.0, "Factor of the differences' sum.")],
///     identity: Identity::BaseWhere("coefficient", 0.0),
///     ..MethodSpec::new("sum", "The base plus the sources' differences to it.")
/// };
/// assert!(SPEC.parameter("coefficient").is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodSpec {
    /// The name by which recipes call it: lower case with underscores.
    pub name: &'static str,
    /// What it makes, in one sentence.
    pub summary: &'static str,
    /// Further names that recipes may call it by. The canonical form has [`Self::name`].
    pub aliases: &'static [&'static str],
    /// Whether it works on a base.
    pub base: BaseRule,
    /// The least and the largest number of sources; the base does not count.
    pub sources: (usize, usize),
    /// Parameters of the whole merge. They are looked up under the name of the output tensor.
    pub shared: &'static [Parameter],
    /// Parameters of each source, which may stand at the merge for all of them. They are looked up under the tensor's
    /// name in the source.
    pub per_source: &'static [Parameter],
    /// When it changes nothing, so that a take of that tensor is the same.
    pub identity: Identity,
    /// What its random numbers depend on besides its parameters; `None` for a method without random numbers.
    pub draws: Option<DrawsBy>,
    /// The method of mergekit's that does the same.
    pub mergekit: Option<Mergekit>,
}

/// Whether a merge method works on a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseRule {
    /// It has no use for one. One that a recipe names is left out of the canonical form.
    Never,
    /// It works on differences to a base where the merge names one.
    Optional,
    /// It needs one. Where the merge names none, it is the recipe's base.
    Always,
}

/// When a merge hands one of its tensors through unchanged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Identity {
    /// It always computes something.
    Never,
    /// It is its base where this parameter of the merge is this number for every tensor.
    BaseWhere(&'static str, f64),
    /// It is its source where it has one and exactly these parameters are set, to these numbers.
    OnlySourceWhere(&'static [(&'static str, f64)]),
}

/// What random numbers depend on, besides a method's parameters and the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawsBy {
    /// The tensor's name in the source and the source's place in the merge: equal expressions give equal tensors.
    Source,
    /// The output tensor's name: equal expressions at two output layers give two tensors, and have two keys.
    Output,
}

/// The method of mergekit 0.1.5 that a method stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mergekit {
    /// mergekit's name of it.
    pub method: &'static str,
    /// Whether mergekit's name is read as this method. Otherwise it is only written so.
    pub reads: bool,
    /// Whether mergekit takes a slice that has a base and nothing else, which is the base.
    pub base_alone: bool,
    /// Parameters that mergekit's method does not have.
    pub ours: &'static [&'static str],
    /// Parameters that change no number, and are left out when a file is read or written.
    pub silent: &'static [&'static str],
    /// Parameters that mergekit calls otherwise: our name, then mergekit's.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Parameters of each source that mergekit must be told, as ours has no choice there.
    pub fixed: &'static [(&'static str, f64)],
}

impl Mergekit {
    /// mergekit's method of that name, with the same parameters.
    #[must_use]
    pub const fn named(method: &'static str) -> Self {
        Self { method, reads: true, base_alone: false, ours: &[], silent: &[], renamed: &[], fixed: &[] }
    }
}

impl MethodSpec {
    /// A method of at least one source, without base, parameters or random numbers.
    #[must_use]
    pub const fn new(name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            summary,
            aliases: &[],
            base: BaseRule::Never,
            sources: (1, usize::MAX),
            shared: &[],
            per_source: &[],
            identity: Identity::Never,
            draws: None,
            mergekit: None,
        }
    }

    /// The description of a parameter, be it of the merge or of each source.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.shared.iter().chain(self.per_source).find(|parameter| parameter.name == name)
    }

    /// All its parameters, those of the merge first.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.shared.iter().chain(self.per_source)
    }

    /// Whether recipes may call it so.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Checks the base, the number of sources, and the names and values of all parameters, for one tensor. Values must
    /// be finite in `precision`, the format in which the merge computes.
    ///
    /// # Errors
    /// [`MethodError`]: what is missing, unknown or out of its range.
    pub fn check(&self, settings: &MergeSettings<'_>, precision: Dtype) -> Result<(), MethodError> {
        if self.base == BaseRule::Always && !settings.base {
            return Err(settings.missing_base());
        }
        let (least, most) = self.sources;
        if !(least..=most).contains(&settings.sources.len()) {
            return Err(settings.source_count());
        }
        self.check_names(settings.shared, true)?;
        settings.sources.iter().filter_map(|source| source.own).try_for_each(|own| self.check_names(own, false))?;
        self.shared.iter().try_for_each(|parameter| settings.check_shared(parameter, precision))?;
        self.per_source.iter().try_for_each(|parameter| settings.check_per_source(parameter, precision))
    }

    /// Whether all parameters that a scope sets are described: those of the merge may stand for all sources, too.
    fn check_names(&self, given: &Parameters, of_merge: bool) -> Result<(), MethodError> {
        let described = || self.per_source.iter().chain(self.shared.iter().filter(|_| of_merge));
        let unknown = given.keys().find(|key| described().all(|parameter| parameter.name != *key));
        let Some(parameter) = unknown else { return Ok(()) };
        let known = described().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
        Err(MethodError::UnknownParameter {
            method: self.name.to_owned(),
            parameter: parameter.to_owned(),
            scope: if of_merge { "of the merge" } else { "of a source" },
            known: if known.is_empty() { "none".to_owned() } else { known },
        })
    }

    /// Whether the merge is its base, as [`Identity::BaseWhere`] says.
    pub(super) fn is_base<S>(&self, merge: &Merge<S>) -> bool {
        matches!(self.identity, Identity::BaseWhere(key, number) if is_number(&merge.parameters, key, number))
    }

    /// The one source that the merge hands through, as [`Identity::OnlySourceWhere`] says.
    pub(super) fn only_source<'m, S>(&self, merge: &'m Merge<S>) -> Option<&'m S> {
        let [source] = merge.sources.as_slice() else { return None };
        let set = merge.parameters.keys().chain(source.parameters.keys()).count();
        let Identity::OnlySourceWhere(numbers) = self.identity else { return None };
        let holds = |(key, number): &(&str, f64)| {
            is_number(&source.parameters, key, *number) || is_number(&merge.parameters, key, *number)
        };
        (set == numbers.len() && numbers.iter().all(holds)).then_some(&source.of)
    }
}

/// Whether a parameter is set to this number, for every tensor.
pub(crate) fn is_number(parameters: &Parameters, key: &str, number: f64) -> bool {
    matches!(parameters.setting(key), Some(Setting::One(Value::Number(found))) if *found == number)
}

/// The merge methods that there are. `merge_ops::Registry` is one, and so is a list of descriptions.
/// ```
/// use layer_ir::{MethodSpec, Methods};
///
/// let methods = [MethodSpec::new("mean", "The mean."), MethodSpec::new("largest", "The elementwise largest.")];
/// assert_eq!(Methods::spec(&methods, "mean")?.summary, "The mean.");
/// let error = Methods::spec(&methods, "median").unwrap_err();
/// assert_eq!(error.to_string(), "there is no merge method `median`; known are mean, largest");
/// # Ok::<(), layer_ir::MethodError>(())
/// ```
pub trait Methods: Sync {
    /// All descriptions, in the order in which they are to be shown.
    fn specs(&self) -> Vec<&MethodSpec>;

    /// The description of a method, by its name or an alias.
    ///
    /// # Errors
    /// [`MethodError::UnknownMethod`], with the names that are there, or a reason of the implementation's own.
    fn spec(&self, method: &str) -> Result<&MethodSpec, MethodError> {
        let specs = self.specs();
        let found = specs.iter().find(|spec| spec.is_named(method)).copied();
        found.ok_or_else(|| MethodError::UnknownMethod {
            method: method.to_owned(),
            known: specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Checks for one tensor what descriptions cannot say, such as two parameters that exclude each other.
    /// [`MethodSpec::check`] has been passed before. By default there is nothing more to check.
    ///
    /// # Errors
    /// The method's own.
    fn check(&self, settings: &MergeSettings<'_>) -> Result<(), MethodError> {
        let _ = settings;
        Ok(())
    }
}

/// No methods, for recipes that only take.
impl Methods for () {
    fn specs(&self) -> Vec<&MethodSpec> {
        Vec::new()
    }
}

impl<const N: usize> Methods for [MethodSpec; N] {
    fn specs(&self) -> Vec<&MethodSpec> {
        self.iter().collect()
    }
}

/// Whether a parameter must be given.
pub(crate) fn is_required(parameter: &Parameter) -> bool {
    parameter.default == DefaultValue::Required
}
