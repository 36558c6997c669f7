//! What is made of generated answers before they are scored.
//!
//! A pipeline gets a document's answers, one per repeat, and ends with one of them.

mod regex;
mod select;
mod text;

use indexmap::IndexMap;
use serde_json::Value;

use crate::config::{FilterConfig, FilterPipeline};
use crate::error::FilterError;
use crate::python::text::python_str;

/// One step, ready to run: from the answers of one document to their successors.
trait Filter: std::fmt::Debug + Send + Sync {
    fn apply(&self, answers: Vec<Value>) -> Result<Vec<Value>, FilterError>;
}

/// A [`FilterPipeline`] ready to run.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub name: String,
    /// Each with its name.
    steps: Vec<(&'static str, Box<dyn Filter>)>,
}

impl Pipeline {
    /// Compiles the patterns; an error comes with its pattern.
    pub(crate) fn new(config: &FilterPipeline) -> Result<Self, (String, Box<fancy_regex::Error>)> {
        let steps = config.steps.iter().map(step).collect::<Result<_, _>>()?;
        Ok(Self { name: config.name.clone(), steps })
    }

    /// What the pipeline makes of the answers: one, as the last step takes the first. An error comes with its filter.
    pub(crate) fn apply(&self, answers: &[String]) -> Result<Value, (&'static str, FilterError)> {
        let answers = answers.iter().map(|answer| Value::from(answer.as_str())).collect();
        Ok(self.apply_all(answers)?.into_iter().next().unwrap_or_default())
    }

    /// What the last step leaves.
    fn apply_all(&self, answers: Vec<Value>) -> Result<Vec<Value>, (&'static str, FilterError)> {
        let apply = |answers, (name, step): &(&'static str, Box<dyn Filter>)| {
            step.apply(answers).map_err(|error| (*name, error))
        };
        self.steps.iter().try_fold(answers, apply)
    }
}

fn step(config: &FilterConfig) -> Result<(&'static str, Box<dyn Filter>), (String, Box<fancy_regex::Error>)> {
    let (name, step): (_, Box<dyn Filter>) = match config {
        FilterConfig::Regex { pattern, group_select, fallback } => {
            ("regex", Box::new(regex::RegexFilter::new(pattern, *group_select, fallback)?))
        }
        FilterConfig::RemoveWhitespace => ("remove_whitespace", Box::new(text::TextFilter::RemoveWhitespace)),
        FilterConfig::Lowercase => ("lowercase", Box::new(text::TextFilter::Lowercase)),
        FilterConfig::Uppercase => ("uppercase", Box::new(text::TextFilter::Uppercase)),
        FilterConfig::Map { mapping, default } => {
            ("map", Box::new(MapFilter { mapping: mapping.clone(), default: default.clone() }))
        }
        FilterConfig::TakeFirst => ("take_first", Box::new(select::Select::First(1))),
        FilterConfig::TakeFirstK { k } => ("take_first_k", Box::new(select::Select::First(*k))),
        FilterConfig::MajorityVote => ("majority_vote", Box::new(select::Select::Majority)),
    };
    Ok((name, step))
}

/// `map`: another answer for each known one.
#[derive(Debug)]
struct MapFilter {
    mapping: IndexMap<String, Value>,
    default: Value,
}

impl Filter for MapFilter {
    fn apply(&self, answers: Vec<Value>) -> Result<Vec<Value>, FilterError> {
        let map = |answer: Value| self.mapping.get(&python_str(&answer)).unwrap_or(&self.default).clone();
        Ok(answers.into_iter().map(map).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn config(step: &Value) -> Option<FilterConfig> {
        let empty = Map::new();
        let settings = step[1].as_object().unwrap_or(&empty);
        let text = |key: &str, default: &str| settings.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        Some(match step[0].as_str()? {
            "regex" => FilterConfig::Regex {
                pattern: text("regex_pattern", ""),
                group_select: settings.get("group_select").and_then(Value::as_i64).unwrap_or(0),
                fallback: text("fallback", "[invalid]"),
            },
            "lowercase" => FilterConfig::Lowercase,
            "uppercase" => FilterConfig::Uppercase,
            "remove_whitespace" => FilterConfig::RemoveWhitespace,
            "map" => FilterConfig::Map {
                mapping: settings["mapping_dict"].as_object()?.clone().into_iter().collect(),
                default: settings["default_value"].clone(),
            },
            "take_first" => FilterConfig::TakeFirst,
            "take_first_k" => FilterConfig::TakeFirstK { k: usize::try_from(settings["k"].as_u64()?).ok()? },
            "majority_vote" => FilterConfig::MajorityVote,
            _ => return None,
        })
    }

    /// `tests/golden/units.json`: the harness's filters on one list of answers. `multi_choice_regex` is not built.
    #[test]
    fn filters_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let mut compared = 0;
        for case in units["filters"].as_array().ok_or("no list")? {
            let steps: Option<Vec<_>> = case["filter"].as_array().ok_or("no steps")?.iter().map(config).collect();
            let Some(steps) = steps else { continue };
            let pipeline = Pipeline::new(&FilterPipeline { name: String::new(), steps }).map_err(|(_, error)| error)?;
            let answers = case["in"].as_array().ok_or("no answers")?.clone();
            let ours = pipeline.apply_all(answers).map_err(|(_, error)| error)?;
            let theirs = if case["out"].is_array() { case["out"].clone() } else { json!([case["out"]]) };
            assert_eq!(Value::from(ours), theirs, "{}", case["filter"]);
            compared += 1;
        }
        assert_eq!(compared, 14);
        Ok(())
    }

    #[test]
    fn a_group_select_beyond_the_matches_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let steps = vec![FilterConfig::Regex { pattern: "[0-9]".into(), group_select: 3, fallback: "F".into() }];
        let pipeline = Pipeline::new(&FilterPipeline { name: String::new(), steps }).map_err(|(_, error)| error)?;
        let refusal = pipeline.apply(&["1 2".to_owned()]).err();
        assert!(matches!(refusal, Some(("regex", FilterError::TooFewMatches { found: 2, group_select: 3 }))));
        Ok(())
    }
}
