//! Filters one after the other.
//!
//! A pipeline gets a document's answers, one per repeat, and ends with one of them. It is compiled once per task and
//! applied to each document; several pipelines of a task are independent of each other.

use serde_json::Value;

use super::filter::FilterStep;
use crate::builtins::{BuiltIn, Columns, FunctionKind};
use crate::components::Components;
use crate::config::FilterPipeline;
use crate::error::{FilterError, SetupError};
use crate::python::text::python_str;

/// A [`FilterPipeline`] ready to run.
pub(crate) struct Pipeline {
    /// What stands behind the comma in `exact_match,strict-match`.
    pub name: String,
    /// Each with its filter's name.
    steps: Vec<(String, FilterStep)>,
    /// What makes programs of the answers at the end.
    program: Option<BuiltIn>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<&str> = self.steps.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Pipeline").field("name", &self.name).field("steps", &steps).finish()
    }
}

impl Pipeline {
    /// Makes the filters ready, which compiles their patterns; an error comes with the place of its step.
    pub(crate) fn new(pipeline: &FilterPipeline, components: &Components) -> Result<Self, (usize, SetupError)> {
        let mut steps = Vec::with_capacity(pipeline.steps.len());
        for (place, config) in pipeline.steps.iter().enumerate().filter(|(_, config)| config.custom.is_none()) {
            let filter = components.filters.get(&config.function).map_err(SetupError::from);
            let step = filter.and_then(|filter| filter.step(&config.settings)).map_err(|error| (place, error))?;
            steps.push((config.function.clone(), step));
        }
        let program = pipeline.steps.last().and_then(|config| config.custom);
        Ok(Self { name: pipeline.name.clone(), steps, program })
    }

    /// What the pipeline makes of the answers: one, as the last step takes the first; where it makes programs of them,
    /// a list of these. An error comes with its filter.
    pub(crate) fn apply(&self, answers: &[String], document: &Columns) -> Result<Value, (String, FilterError)> {
        let answers = answers.iter().map(|answer| Value::from(answer.as_str())).collect();
        let left = self.apply_all(answers)?;
        let Some(function) = self.program else { return Ok(left.into_iter().next().unwrap_or_default()) };
        let FunctionKind::Program(program) = function.kind() else { return Ok(Value::Array(left)) };
        let one = |answer: &Value| program(document, &python_str(answer)).map(Value::from);
        let programs = left.iter().map(one).collect::<Result<Vec<_>, _>>();
        programs.map(Value::Array).map_err(|problem| (function.name().to_owned(), FilterError::Other(problem.into())))
    }

    /// What the last step leaves.
    fn apply_all(&self, answers: Vec<Value>) -> Result<Vec<Value>, (String, FilterError)> {
        let apply = |answers, (name, step): &(String, FilterStep)| step(answers).map_err(|error| (name.clone(), error));
        self.steps.iter().try_fold(answers, apply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FilterConfig;
    use serde_json::{Map, json};
    use tailor_registry::Choice;

    fn pipeline(steps: &[(&str, Value)]) -> Result<Pipeline, Box<dyn std::error::Error>> {
        let components = Components::standard();
        let step = |(name, parameters): &(&str, Value)| {
            let parameters = parameters.as_object().cloned().unwrap_or_default();
            let (_, settings) = components.filters.choose(&Choice { name: (*name).to_owned(), parameters })?;
            Ok(FilterConfig { function: (*name).to_owned(), custom: None, settings })
        };
        let steps = steps.iter().map(step).collect::<Result<_, tailor_registry::Error>>()?;
        let pipeline = FilterPipeline { name: String::new(), steps };
        Ok(Pipeline::new(&pipeline, &components).map_err(|(_, error)| error)?)
    }

    /// `tests/golden/units.json`: the harness's filters on one list of answers. `multi_choice_regex` is not built.
    #[test]
    fn filters_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../../tests/golden/units.json"))?;
        let mut compared = 0;
        for case in units["filters"].as_array().ok_or("no list")? {
            let step = |step: &Value| Some((step[0].as_str()?.to_owned(), step[1].clone()));
            let steps: Option<Vec<_>> = case["filter"].as_array().ok_or("no steps")?.iter().map(step).collect();
            let steps = steps.ok_or("a step without a name")?;
            if steps.iter().any(|(name, _)| name == "multi_choice_regex") {
                continue;
            }
            let steps: Vec<(&str, Value)> =
                steps.iter().map(|(name, parameters)| (name.as_str(), parameters.clone())).collect();
            let answers = case["in"].as_array().ok_or("no answers")?.clone();
            let ours = pipeline(&steps)?.apply_all(answers).map_err(|(_, error)| error)?;
            let theirs = if case["out"].is_array() { case["out"].clone() } else { json!([case["out"]]) };
            assert_eq!(Value::from(ours), theirs, "{}", case["filter"]);
            compared += 1;
        }
        assert_eq!(compared, 14);
        Ok(())
    }

    #[test]
    fn a_group_select_beyond_the_matches_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let pipeline = pipeline(&[("regex", json!({"regex_pattern": "[0-9]", "group_select": 3}))])?;
        let Err((filter, error)) = pipeline.apply(&["1 2".to_owned()], &Map::new()) else {
            return Err("no refusal".into());
        };
        assert_eq!(filter, "regex");
        assert!(matches!(error, FilterError::TooFewMatches { found: 2, group_select: 3 }));
        Ok(())
    }

    #[test]
    fn a_filter_that_needs_a_parameter_is_refused_without_it() {
        for (name, parameters) in [("take_first_k", Map::new()), ("map", Map::from_iter([("from".into(), 1.into())]))] {
            let choice = Choice { name: name.to_owned(), parameters };
            assert!(Components::standard().filters.choose(&choice).is_err(), "{name}");
        }
    }
}
