//! `remove_whitespace`, `lowercase`, `uppercase` and `map`: each answer in other letters, or another one for it.

use serde_json::{Map as JsonMap, Value};
use tailor_registry::{Parameter, Settings};

use super::{Filter, FilterStep};
use crate::entry::entry;
use crate::error::short;
use crate::error::{FilterError, SetupError};
use crate::python::text::{python_str, strip};

/// Each answer, which is a text, rewritten.
fn rewritten(rewrite: fn(&str) -> String) -> FilterStep {
    let one = move |answer: Value| match answer {
        Value::String(text) => Ok(Value::from(rewrite(&text))),
        other => Err(FilterError::NotAText { found: short(&other) }),
    };
    Box::new(move |answers| answers.into_iter().map(one).collect())
}

#[derive(Debug)]
pub(super) struct RemoveWhitespace;

entry!(RemoveWhitespace, "remove_whitespace", "Each answer without the whitespace at its ends.");

impl Filter for RemoveWhitespace {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        Ok(rewritten(|text| strip(text).to_owned()))
    }
}

#[derive(Debug)]
pub(super) struct Lowercase;

entry!(Lowercase, "lowercase", "Each answer in lower case.");

impl Filter for Lowercase {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        Ok(rewritten(str::to_lowercase))
    }
}

#[derive(Debug)]
pub(super) struct Uppercase;

entry!(Uppercase, "uppercase", "Each answer in upper case.");

impl Filter for Uppercase {
    fn step(&self, _: &Settings) -> Result<FilterStep, SetupError> {
        Ok(rewritten(str::to_uppercase))
    }
}

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
