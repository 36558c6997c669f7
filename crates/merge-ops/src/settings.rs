//! The parameters of one merge as they hold for one tensor.

use std::ops::RangeInclusive;

use layer_ir::Parameters;

use crate::Error;

/// The parameters of one merge as they hold for one output tensor.
///
/// A *shared* parameter has one value, looked up under the output tensor's name; a parameter *of a source* is looked up in the
/// source's own settings and then in the merge's, both under the name that the tensor has in the source (as mergekit does).
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The method's name, for messages.
    pub method: &'a str,
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

/// What a method takes; see [`Settings::expect`].
#[derive(Debug, Clone)]
pub struct Signature<'a> {
    /// Whether a base is needed.
    pub base: bool,
    /// How many sources.
    pub sources: RangeInclusive<usize>,
    /// Parameters of the merge.
    pub shared: &'a [&'a str],
    /// Parameters of the sources, which may stand at the merge for all of them.
    pub own: &'a [&'a str],
}

impl Settings<'_> {
    /// Checks the base, the number of sources and the names of the parameters.
    ///
    /// # Errors
    /// What is missing, and names that the method does not know.
    pub fn expect(&self, signature: &Signature<'_>) -> Result<(), Error> {
        let method = || self.method.to_owned();
        if signature.base && !self.base {
            return Err(Error::MissingBase { method: method() });
        }
        let (found, range) = (self.sources.len(), &signature.sources);
        if !range.contains(&found) {
            let plural = |n: usize| if n == 1 { "source" } else { "sources" };
            let expected = match (*range.start(), *range.end()) {
                (least, most) if least == most => format!("exactly {least} {}", plural(least)),
                (least, usize::MAX) => format!("at least {least} {}", plural(least)),
                (least, most) => format!("{least} to {most} sources"),
            };
            return Err(Error::SourceCount { method: method(), found, expected });
        }
        let known: Vec<&str> = signature.shared.iter().chain(signature.own).copied().collect();
        self.know(self.shared, &known, "of the merge")?;
        self.sources
            .iter()
            .filter_map(|source| source.own)
            .try_for_each(|own| self.know(own, signature.own, "of a source"))
    }

    fn know(&self, parameters: &Parameters, known: &[&str], scope: &'static str) -> Result<(), Error> {
        let Some(parameter) = parameters.keys().find(|key| !known.contains(key)) else { return Ok(()) };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::UnknownParameter { method: self.method.to_owned(), parameter: parameter.to_owned(), scope, known })
    }

    /// A number that is shared; `None` if it is not set.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        Ok(self.shared.number(key, &self.tensor)?)
    }

    /// A number that must be set.
    ///
    /// # Errors
    /// It is not set, or no number.
    pub fn required(&self, key: &str) -> Result<f64, Error> {
        self.number(key)?.ok_or_else(|| self.missing(key, &self.tensor))
    }

    /// A flag that is shared; `None` if it is not set.
    ///
    /// # Errors
    /// It is no flag.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        Ok(self.shared.flag(key, &self.tensor)?)
    }

    /// A number of each source; `None` where it is not set.
    ///
    /// # Errors
    /// It is no number.
    pub fn each(&self, key: &str) -> Result<Vec<Option<f64>>, Error> {
        let of = |source: &SourceSettings<'_>| {
            let scopes = source.own.into_iter().chain([self.shared]);
            let found = scopes.map(|scope| scope.number(key, &source.tensor)).find_map(Result::transpose);
            Ok(found.transpose()?)
        };
        self.sources.iter().map(of).collect()
    }

    /// A number that must be set for each source.
    ///
    /// # Errors
    /// It is not set for one, or no number.
    pub fn each_required(&self, key: &str) -> Result<Vec<f64>, Error> {
        let values = self.each(key)?.into_iter().zip(&self.sources);
        values.map(|(value, source)| value.ok_or_else(|| self.missing(key, &source.tensor))).collect()
    }

    /// Refuses a value that does not lie where it should.
    ///
    /// # Errors
    /// [`Error::ParameterRange`] unless `fits`.
    pub fn in_range(&self, key: &str, found: f64, fits: bool, expected: &'static str) -> Result<(), Error> {
        if fits {
            return Ok(());
        }
        let (method, tensor) = (self.method.to_owned(), self.tensor.clone());
        Err(Error::ParameterRange { method, parameter: key.to_owned(), found, tensor, expected })
    }

    fn missing(&self, key: &str, tensor: &str) -> Error {
        let method = self.method.to_owned();
        Error::MissingParameter { method, parameter: key.to_owned(), tensor: tensor.to_owned() }
    }

    pub(crate) fn zero_weights(&self) -> Error {
        Error::ZeroWeights { method: self.method.to_owned(), tensor: self.tensor.clone() }
    }

    pub(crate) fn no_sources(&self) -> Error {
        Error::SourceCount { method: self.method.to_owned(), found: 0, expected: "at least 1 source".to_owned() }
    }

    pub(crate) fn no_base(&self) -> Error {
        Error::MissingBase { method: self.method.to_owned() }
    }
}
