//! One parameter of a named thing: its type, its range, its default and what it means.

use std::fmt;

use serde_json::{Number, Value};

/// A parameter as its owner describes it. Made by the constructors, which are `const`, so that a description can be a
/// static table.
///
/// ```
/// use tailor_registry::Parameter;
///
/// const DENSITY: Parameter =
///     Parameter::number("density", 0.0, 1.0, "Share of the elements that is kept.").with_default_number(1.0);
/// assert_eq!(DENSITY.expected(), "a number from 0 to 1");
/// assert!(DENSITY.allows(&0.4.into()) && !DENSITY.allows(&2.into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// The name under which it is given.
    pub name: &'static str,
    /// What values it may have.
    pub kind: ValueKind,
    /// What it is when it is not given.
    pub default: DefaultValue,
    /// What it means, in one sentence.
    pub summary: &'static str,
}

/// The values that a parameter may have. Numbers are finite.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueKind {
    /// A number from the first to the second, both included.
    Number(f64, f64),
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of numbers, each from the first to the second, both included.
    Numbers(f64, f64),
    /// A list of texts.
    Texts,
    /// Anything: its owner checks it.
    Any,
}

/// What a parameter is when it is not given.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum DefaultValue {
    /// It must be given.
    Required,
    /// It may be absent, which its owner understands.
    Absent,
    /// This number.
    Number(f64),
    /// This whole number.
    Integer(i64),
    /// This flag.
    Flag(bool),
    /// This text or word.
    Text(&'static str),
    /// These numbers.
    Numbers(&'static [f64]),
}

impl Parameter {
    /// A parameter that must be given.
    const fn new(name: &'static str, kind: ValueKind, summary: &'static str) -> Self {
        Self { name, kind, default: DefaultValue::Required, summary }
    }

    /// A number from `least` to `most`, both included; required unless a default follows.
    #[must_use]
    pub const fn number(name: &'static str, least: f64, most: f64, summary: &'static str) -> Self {
        Self::new(name, ValueKind::Number(least, most), summary)
    }

    /// A whole number from `least` to `most`, both included; required unless a default follows.
    #[must_use]
    pub const fn integer(name: &'static str, least: i64, most: i64, summary: &'static str) -> Self {
        Self::new(name, ValueKind::Integer(least, most), summary)
    }

    /// `true` or `false`, by default this.
    #[must_use]
    pub const fn flag(name: &'static str, default: bool, summary: &'static str) -> Self {
        Self { default: DefaultValue::Flag(default), ..Self::new(name, ValueKind::Flag, summary) }
    }

    /// A text; required unless a default follows.
    #[must_use]
    pub const fn text(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ValueKind::Text, summary)
    }

    /// One of some words; required unless a default follows.
    #[must_use]
    pub const fn one_of(name: &'static str, words: &'static [&'static str], summary: &'static str) -> Self {
        Self::new(name, ValueKind::OneOf(words), summary)
    }

    /// A list of numbers, each from `least` to `most`; required unless a default follows.
    #[must_use]
    pub const fn numbers(name: &'static str, least: f64, most: f64, summary: &'static str) -> Self {
        Self::new(name, ValueKind::Numbers(least, most), summary)
    }

    /// A value that the thing itself checks, such as a list of tables; required unless a default follows.
    #[must_use]
    pub const fn any(name: &'static str, summary: &'static str) -> Self {
        Self::new(name, ValueKind::Any, summary)
    }

    /// The same parameter of another type.
    #[must_use]
    pub const fn of_kind(self, kind: ValueKind) -> Self {
        Self { kind, ..self }
    }

    /// It may be absent.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { default: DefaultValue::Absent, ..self }
    }

    /// It is this number when it is not given.
    #[must_use]
    pub const fn with_default_number(self, default: f64) -> Self {
        Self { default: DefaultValue::Number(default), ..self }
    }

    /// It is this whole number when it is not given.
    #[must_use]
    pub const fn with_default_integer(self, default: i64) -> Self {
        Self { default: DefaultValue::Integer(default), ..self }
    }

    /// It is this text or word when it is not given.
    #[must_use]
    pub const fn with_default_text(self, default: &'static str) -> Self {
        Self { default: DefaultValue::Text(default), ..self }
    }

    /// It is this list when it is not given.
    #[must_use]
    pub const fn with_default_numbers(self, default: &'static [f64]) -> Self {
        Self { default: DefaultValue::Numbers(default), ..self }
    }

    /// What values it may have, in words: `a number from 0 to 1`.
    #[must_use]
    pub fn expected(&self) -> String {
        self.kind.to_string()
    }

    /// Whether it may have this value.
    #[must_use]
    pub fn allows(&self, value: &Value) -> bool {
        self.kind.allows(value)
    }
}

impl ValueKind {
    /// Whether a value is of this kind and in its range.
    fn allows(&self, value: &Value) -> bool {
        let within = |value: &Value, least: f64, most: f64| value.as_f64().is_some_and(|x| (least..=most).contains(&x));
        match *self {
            Self::Number(least, most) => within(value, least, most),
            Self::Integer(least, most) => integer(value).is_some_and(|x| (least..=most).contains(&x)),
            Self::Flag => value.is_boolean(),
            Self::Text => value.is_string(),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Numbers(least, most) => {
                value.as_array().is_some_and(|list| list.iter().all(|item| within(item, least, most)))
            }
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Self::Any => true,
        }
    }
}

/// A whole number, also when it is written as `3.0`.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    let whole = |x: f64| (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(least, most) => write!(f, "a number{}", Range(least, most)),
            Self::Integer(i64::MIN, i64::MAX) => write!(f, "a whole number"),
            Self::Integer(least, i64::MAX) => write!(f, "a whole number of at least {least}"),
            Self::Integer(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Flag => write!(f, "true or false"),
            Self::Text => write!(f, "a text"),
            Self::OneOf(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Self::Numbers(least, most) => write!(f, "a list of numbers{}", Range(least, most)),
            Self::Texts => write!(f, "a list of texts"),
            Self::Any => write!(f, "a value"),
        }
    }
}

/// ` from a to b`, as far as it says something.
struct Range(f64, f64);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 > f64::MIN, self.1 < f64::MAX) {
            (true, true) => write!(f, " from {} to {}", self.0, self.1),
            (true, false) => write!(f, " of at least {}", self.0),
            (false, true) => write!(f, " of at most {}", self.1),
            (false, false) => Ok(()),
        }
    }
}

impl DefaultValue {
    /// The default as a value; [`None`] when it must be given or may be absent.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        let number = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
        match *self {
            Self::Required | Self::Absent => None,
            Self::Number(x) => Some(number(x)),
            Self::Integer(x) => Some(x.into()),
            Self::Flag(x) => Some(x.into()),
            Self::Text(text) => Some(text.into()),
            Self::Numbers(list) => Some(list.iter().map(|x| number(*x)).collect()),
        }
    }
}
