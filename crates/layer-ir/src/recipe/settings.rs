//! The parameters of one merge as they hold for one tensor.

use tailor_registry::{DefaultValue, Parameter, ValueKind};

use super::method::is_required;
use super::{Merge, MethodError, MethodSpec, Parameters, Value};
use crate::Dtype;

/// The parameters of one merge as they hold for one output tensor, with the defaults of the method's description.
///
/// A *shared* parameter has one value, looked up under the output tensor's name. A parameter *of each source* is looked
/// up in the source's own settings and then in the merge's, both under the name that the tensor has in the source (as
/// mergekit does).
/// ```
/// use layer_ir::{Merge, MergeSettings, MethodSpec};
/// use tailor_registry::Parameter;
///
/// const METHOD: MethodSpec = MethodSpec {
///     shared: &[Parameter::number("lambda", 0.0, 2.0, "Factor of the mix.").with_default_number(1.0)],
///     per_source: &[Parameter::number("weight", 0.0, 9.0, "What the source counts.")],
///     ..MethodSpec::new("mix", "A weighted sum.")
/// };
/// let merge = Merge::new("mix").with("weight", 0.5).source("math", 3).source("chat", 3);
/// let settings = MergeSettings::of(METHOD, &merge, "w".to_owned(), ["w".to_owned(), "w".to_owned()]);
/// assert_eq!((settings.number("lambda")?, settings.each("weight")?), (1.0, vec![0.5, 0.5]));
/// # Ok::<(), layer_ir::MethodError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MergeSettings<'a> {
    /// The method.
    pub method: MethodSpec,
    /// The output tensor's name.
    pub tensor: String,
    /// What is set for the whole merge.
    pub shared: &'a Parameters,
    /// What is set for each source, in order.
    pub sources: Vec<SourceSettings<'a>>,
    /// Whether there is a base.
    pub base: bool,
}

/// The parameters of one source.
#[derive(Debug, Clone)]
pub struct SourceSettings<'a> {
    /// The tensor's name in the source.
    pub tensor: String,
    /// What is set for the source alone.
    pub own: Option<&'a Parameters>,
}

impl<'a> MergeSettings<'a> {
    /// Those of a merge for the output tensor `tensor`; `names` are those of the sources' tensors, in order.
    #[must_use]
    pub fn of<S>(
        method: MethodSpec,
        merge: &'a Merge<S>,
        tensor: String,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        let sources = merge.sources.iter().zip(names);
        let sources = sources.map(|(source, tensor)| SourceSettings { tensor, own: Some(&source.parameters) });
        let (sources, base) = (sources.collect(), merge.base.is_some());
        Self { method, tensor, shared: &merge.parameters, sources, base }
    }

    /// A number of the merge, or its default.
    ///
    /// # Errors
    /// [`MethodError::MissingParameter`] without both, [`MethodError::WrongParameter`] if it is no finite number.
    pub fn number(&self, key: &str) -> Result<f64, MethodError> {
        self.optional_number(key)?.ok_or_else(|| self.missing(key, &self.tensor))
    }

    /// A number of the merge, or its default if it has one.
    ///
    /// # Errors
    /// [`MethodError::WrongParameter`] if it is no finite number.
    pub fn optional_number(&self, key: &str) -> Result<Option<f64>, MethodError> {
        let found = self.read_number(self.shared, key, &self.tensor)?;
        Ok(found.or_else(|| self.default_number(key)))
    }

    /// A flag of the merge, or its default.
    ///
    /// # Errors
    /// [`MethodError::MissingParameter`] without both, [`MethodError::WrongParameter`] if it is neither true nor false.
    pub fn flag(&self, key: &str) -> Result<bool, MethodError> {
        let flag = self.shared.flag(key, &self.tensor);
        let found = flag.map_err(|_| self.wrong_value(key, self.shared, &self.tensor, &ValueKind::Flag))?;
        let default = match self.method.parameter(key).map(|parameter| parameter.default) {
            Some(DefaultValue::Flag(flag)) => Some(flag),
            _ => None,
        };
        found.or(default).ok_or_else(|| self.missing(key, &self.tensor))
    }

    /// A word of the merge, or its default.
    ///
    /// # Errors
    /// [`MethodError::MissingParameter`] without both, [`MethodError::WrongParameter`] if it is no text.
    pub fn text(&self, key: &str) -> Result<&str, MethodError> {
        match self.shared.get(key, &self.tensor) {
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Err(self.wrong_value(key, self.shared, &self.tensor, &ValueKind::Text)),
            None => match self.method.parameter(key).map(|parameter| parameter.default) {
                Some(DefaultValue::Text(text)) => Ok(text),
                _ => Err(self.missing(key, &self.tensor)),
            },
        }
    }

    /// A number of each source, or its default.
    ///
    /// # Errors
    /// [`MethodError::MissingParameter`] where a source has neither, [`MethodError::WrongParameter`] if one is no
    /// finite number.
    pub fn each(&self, key: &str) -> Result<Vec<f64>, MethodError> {
        let values = self.each_optional(key)?.into_iter().zip(&self.sources);
        values.map(|(value, source)| value.ok_or_else(|| self.missing(key, &source.tensor))).collect()
    }

    /// A number of each source, or its default if it has one.
    ///
    /// # Errors
    /// [`MethodError::WrongParameter`] if one is no finite number.
    pub fn each_optional(&self, key: &str) -> Result<Vec<Option<f64>>, MethodError> {
        let of = |source: &SourceSettings<'_>| {
            let mut scopes = source.own.into_iter().chain([self.shared]);
            let found = scopes.find_map(|scope| self.read_number(scope, key, &source.tensor).transpose());
            Ok(found.transpose()?.or_else(|| self.default_number(key)))
        };
        self.sources.iter().map(of).collect()
    }

    /// The error that says that a parameter has a value that it may not have, for rules that a description cannot
    /// express.
    #[must_use]
    pub fn wrong(&self, key: &str, found: impl ToString, expected: impl Into<String>) -> MethodError {
        MethodError::WrongParameter {
            method: self.method.name.to_owned(),
            parameter: key.to_owned(),
            found: found.to_string(),
            tensor: self.tensor.clone(),
            expected: expected.into(),
        }
    }

    /// The error of weights that cannot be divided by their sum; `unless` is the setting that leaves the division out.
    #[must_use]
    pub fn zero_weights(&self, unless: &'static str) -> MethodError {
        MethodError::ZeroWeights { method: self.method.name.to_owned(), tensor: self.tensor.clone(), unless }
    }

    /// The error of a merge without a base.
    #[must_use]
    pub fn missing_base(&self) -> MethodError {
        MethodError::MissingBase { method: self.method.name.to_owned() }
    }

    /// The error of too few or too many sources.
    #[must_use]
    pub fn source_count(&self) -> MethodError {
        let plural = |n: usize| if n == 1 { "source" } else { "sources" };
        let expected = match self.method.sources {
            (least, most) if least == most => format!("exactly {least} {}", plural(least)),
            (least, usize::MAX) => format!("at least {least} {}", plural(least)),
            (least, most) => format!("{least} to {most} sources"),
        };
        MethodError::SourceCount { method: self.method.name.to_owned(), found: self.sources.len(), expected }
    }

    /// Whether a parameter of the merge is set as its description says.
    pub(super) fn check_shared(&self, parameter: &Parameter, precision: Dtype) -> Result<(), MethodError> {
        let found = self.check_value(parameter, self.shared, &self.tensor, precision)?;
        if found || !is_required(parameter) { Ok(()) } else { Err(self.missing(parameter.name, &self.tensor)) }
    }

    /// Whether a parameter of each source is set as its description says, in every scope that sets it.
    pub(super) fn check_per_source(&self, parameter: &Parameter, precision: Dtype) -> Result<(), MethodError> {
        for source in &self.sources {
            let mut found = false;
            for scope in source.own.into_iter().chain([self.shared]) {
                found |= self.check_value(parameter, scope, &source.tensor, precision)?;
            }
            if !found && is_required(parameter) {
                return Err(self.missing(parameter.name, &source.tensor));
            }
        }
        Ok(())
    }

    /// Whether a scope sets the parameter for a tensor; what it sets must fit the description.
    fn check_value(
        &self,
        parameter: &Parameter,
        scope: &Parameters,
        tensor: &str,
        precision: Dtype,
    ) -> Result<bool, MethodError> {
        let Some(value) = scope.get(parameter.name, tensor) else { return Ok(false) };
        let number = || scope.number(parameter.name, tensor).ok().flatten();
        let fits =
            match parameter.kind {
                ValueKind::Number(least, most) => number()
                    .is_some_and(|number| (least..=most).contains(&number) && number.abs() <= largest(precision)),
                ValueKind::Integer(least, most) => number()
                    .is_some_and(|number| number.fract() == 0.0 && (least as f64..=most as f64).contains(&number)),
                ValueKind::Flag => scope.flag(parameter.name, tensor).is_ok(),
                ValueKind::Text => matches!(value, Value::Text(_)),
                ValueKind::OneOf(words) => matches!(value, Value::Text(text) if words.contains(&text.as_str())),
                ValueKind::Any => true,
                // A parameter of a merge has one value.
                _ => false,
            };
        if fits { Ok(true) } else { Err(self.wrong_value(parameter.name, scope, tensor, &parameter.kind)) }
    }

    /// A number that a scope sets for a tensor.
    fn read_number(&self, scope: &Parameters, key: &str, tensor: &str) -> Result<Option<f64>, MethodError> {
        let any = || ValueKind::Number(f64::MIN, f64::MAX);
        scope.number(key, tensor).map_err(|_| self.wrong_value(key, scope, tensor, &any()))
    }

    /// The number that the description has for a parameter that is not set.
    fn default_number(&self, key: &str) -> Option<f64> {
        match self.method.parameter(key)?.default {
            DefaultValue::Number(number) => Some(number),
            DefaultValue::Integer(number) => Some(number as f64),
            _ => None,
        }
    }

    /// The error of a value that is not of its parameter's kind.
    fn wrong_value(&self, key: &str, scope: &Parameters, tensor: &str, kind: &ValueKind) -> MethodError {
        let found = scope.get(key, tensor).map_or_else(String::new, ToString::to_string);
        MethodError::WrongParameter {
            method: self.method.name.to_owned(),
            parameter: key.to_owned(),
            found,
            tensor: tensor.to_owned(),
            expected: kind.to_string(),
        }
    }

    /// The error of a parameter that must be given.
    fn missing(&self, key: &str, tensor: &str) -> MethodError {
        let method = self.method.name.to_owned();
        MethodError::MissingParameter { method, parameter: key.to_owned(), tensor: tensor.to_owned() }
    }
}

/// The largest finite number of a format. For bf16 that of f32 stands, which is 0.4 % larger.
fn largest(precision: Dtype) -> f64 {
    match precision {
        Dtype::F16 => half::f16::MAX.to_f64(),
        Dtype::BF16 | Dtype::F32 => f64::from(f32::MAX),
    }
}
