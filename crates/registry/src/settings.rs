//! The parameters of one named thing after they were checked.

use serde_json::{Map, Value};

use crate::parameter::{DefaultValue, Parameter, integer};
use crate::{Entry, Error};

/// Checked parameters: each is described by its owner, has a value that it may have, and has its default where it was
/// not given.
///
/// Reading a parameter by a name or a type that its owner did not describe is an error, not a panic: the description is
/// wrong then.
/// ```
/// use tailor_registry::{Parameter, Settings};
///
/// let described = [
///     Parameter::integer("population", 2, 10_000, "How many points live.").with_default_integer(20),
///     Parameter::flag("elitist", true, "Whether the best one survives."),
/// ];
/// let given = serde_json::from_str(r#"{"population": 50}"#).unwrap_or_default();
/// let settings = Settings::check("strategy `evolution`".to_owned(), &described, &given)?;
/// assert_eq!((settings.count("population")?, settings.flag("elitist")?), (50, true));
/// # Ok::<(), tailor_registry::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The thing, for messages.
    owner: String,
    values: Map<String, Value>,
}

impl Settings {
    /// Checks given parameters against their descriptions; `owner` names the thing in messages, as in ``strategy
    /// `evolution` ``.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`], [`Error::WrongValue`], [`Error::MissingParameter`].
    pub fn check(owner: String, described: &[Parameter], given: &Map<String, Value>) -> Result<Self, Error> {
        if let Some(name) = given.keys().find(|name| described.iter().all(|parameter| parameter.name != *name)) {
            let known = described.iter().map(|parameter| parameter.name.to_owned()).collect();
            return Err(Error::UnknownParameter { owner, name: name.clone(), known });
        }
        let mut values = Map::new();
        for parameter in described {
            let name = parameter.name.to_owned();
            match given.get(parameter.name) {
                Some(value) if parameter.allows(value) => values.insert(name, value.clone()),
                Some(value) => {
                    let (found, expected) = (value.to_string(), parameter.expected());
                    return Err(Error::WrongValue { owner, name, found, expected });
                }
                None => match parameter.default.value() {
                    Some(default) => values.insert(name, default),
                    None if parameter.default == DefaultValue::Required => {
                        return Err(Error::MissingParameter { owner, name, expected: parameter.expected() });
                    }
                    None => None,
                },
            };
        }
        Ok(Self { owner, values })
    }

    /// The defaults of an entry; what is required is missing from them.
    #[must_use]
    pub fn defaults<T: Entry + ?Sized>(entry: &T) -> Self {
        let default = |parameter: &Parameter| Some((parameter.name.to_owned(), parameter.default.value()?));
        Self { owner: entry.name().to_owned(), values: entry.parameters().iter().filter_map(default).collect() }
    }

    /// All values, defaults included, in the order of their descriptions.
    #[must_use]
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// A value of any type; [`None`] when it is absent.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A number.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent or no number.
    pub fn number(&self, name: &str) -> Result<f64, Error> {
        self.read(name, "a number", Value::as_f64)
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent or no whole number.
    pub fn integer(&self, name: &str) -> Result<i64, Error> {
        self.read(name, "a whole number", integer)
    }

    /// A whole number of at least 0, as a count or an index.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent, negative or no whole number.
    pub fn count(&self, name: &str) -> Result<usize, Error> {
        self.read(name, "a whole number of at least 0", |value| integer(value)?.try_into().ok())
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent or neither.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// A text or word.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent or no text.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.read(name, "a text", Value::as_str)
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// [`Error::WrongValue`] when it is absent or no list of numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, Error> {
        self.read(name, "a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// The error that says that a value is not what it must be, for checks that a description cannot express.
    #[must_use]
    pub fn wrong(&self, name: &str, expected: impl Into<String>) -> Error {
        let found = self.values.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
        Error::WrongValue { owner: self.owner.clone(), name: name.to_owned(), found, expected: expected.into() }
    }

    /// A value as one type; `expected` says in words which.
    fn read<'a, T>(&'a self, name: &str, expected: &str, as_type: impl Fn(&'a Value) -> Option<T>) -> Result<T, Error> {
        self.values.get(name).and_then(as_type).ok_or_else(|| self.wrong(name, expected))
    }
}
