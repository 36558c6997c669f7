//! `remove_whitespace`, `lowercase`, `uppercase` and `map`: each answer in other letters, or another one for it.
//!
//! As many answers leave as came. The first three refuse what is no text, such as what a `map` before them gave. `map`
//! looks an answer up in `mapping_dict` and gives `default_value`, or null, for one that is not there.

use serde_json::{Map as JsonMap, Value};
use tailor_registry::{Parameter, Settings};

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::short;
use crate::error::{FilterError, SetupError};
use crate::python::text::{python_str, strip};

/// Each answer by itself, rewritten: one row for each way to rewrite a text.
#[derive(Debug)]
pub(super) struct Rewriting {
    pub name: &'static str,
    pub summary: &'static str,
    pub rewrite: fn(&str) -> String,
}

entry!(Rewriting);

/// Python's `str.strip`.
pub(super) const REMOVE_WHITESPACE: Rewriting = Rewriting {
    name: "remove_whitespace",
    summary: "Each answer without the whitespace at its ends.",
    rewrite: |text| strip(text).to_owned(),
};

/// Python's `str.lower`.
pub(super) const LOWERCASE: Rewriting =
    Rewriting { name: "lowercase", summary: "Each answer in lower case.", rewrite: str::to_lowercase };

/// Python's `str.upper`.
pub(super) const UPPERCASE: Rewriting =
    Rewriting { name: "uppercase", summary: "Each answer in upper case.", rewrite: str::to_uppercase };

impl Filter for Rewriting {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        let rewrite = self.rewrite;
        let one = move |answer: Value| match answer {
            Value::String(text) => Ok(Value::from(rewrite(&text))),
            other => Err(FilterError::NotAText { found: short(&other) }),
        };
        Ok(Box::new(move |answers| answers.into_iter().map(one).collect()))
    }
}

/// The harness's `map`. An answer is looked up as Python prints it; a value of the mapping may be anything.
#[derive(Debug)]
pub(super) struct Map;

entry!(
    Map,
    "map",
    "Another answer for each known one.",
    &[
        Parameter::any("mapping_dict", "What the known answers become.").optional(),
        Parameter::any("default_value", "What all other answers become; null, if it is absent.").optional(),
    ]
);

impl Filter for Map {
    fn step(&self, settings: &Settings) -> Result<FilterStep, SetupError> {
        let mapping = match settings.value("mapping_dict") {
            None => JsonMap::new(),
            Some(Value::Object(mapping)) => mapping.clone(),
            Some(_) => return Err(settings.wrong("mapping_dict", "a mapping of answers to their successors").into()),
        };
        let default = settings.value("default_value").cloned().unwrap_or_default();
        let one = move |answer: Value| mapping.get(&python_str(&answer)).unwrap_or(&default).clone();
        Ok(Box::new(move |answers| Ok(answers.into_iter().map(&one).collect())))
    }
}
