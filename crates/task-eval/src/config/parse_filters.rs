//! `filter_list`: pipelines of filters that are in the table.
//!
//! ```yaml
//! filter_list:
//!   - name: strict-match
//!     filter: [{function: regex, regex_pattern: "#### (.*)"}, {function: take_first}]
//! ```

use std::path::Path;

use serde_json::Value;
use tailor_registry::Settings;

use super::keys::Keys;
use super::output_type::OutputType;
use super::task::{FilterConfig, FilterPipeline};
use crate::builtins::FunctionKind;
use crate::components::Components;
use crate::error::Error;
use crate::filters::Filter;

/// The filter with which every pipeline ends, unless a program registers another that leaves one answer.
const LAST: &str = "take_first";

/// The filter that is a function of the task, and ends its pipeline.
const CUSTOM: &str = "custom";

/// What a pipeline may do: change generated answers, and leave one of them at its end.
///
/// # Errors
/// [`Error::Unsupported`] for a pipeline without a last step that leaves one answer, with such a step elsewhere, or
/// with other steps where there is no text to filter.
pub(super) fn check(
    file: &Path,
    output_type: OutputType,
    pipelines: &[FilterPipeline],
    components: &Components,
) -> Result<(), Error> {
    let leaves_one = |step: &FilterConfig| {
        step.custom.is_some() || components.filters.get(&step.function).is_ok_and(Filter::leaves_one)
    };
    for (place, pipeline) in pipelines.iter().enumerate() {
        let last = pipeline.steps.iter().position(leaves_one);
        let ends_well = last.is_some_and(|last| last + 1 == pipeline.steps.len());
        let supported = match output_type {
            OutputType::GenerateUntil if ends_well => continue,
            OutputType::GenerateUntil => {
                "pipelines with `take_first`, or another filter that leaves one answer, in the last place and no other"
            }
            _ if ends_well && pipeline.steps.len() == 1 => continue,
            _ => "`take_first` alone, as there is no text to filter in answers of this output_type",
        };
        let (file, key) = (file.to_owned(), format!("filter_list[{place}].filter"));
        return Err(Error::Unsupported { file, key, value: pipeline.name.clone(), supported: supported.into() });
    }
    Ok(())
}

/// The pipelines; without any, one named `none` that takes the first answer.
pub(super) fn pipelines(
    keys: &mut Keys<'_>,
    file: &Path,
    components: &Components,
) -> Result<Vec<FilterPipeline>, Error> {
    let Some(entries) = keys.list("filter_list")? else {
        let first = FilterConfig { function: LAST.to_owned(), custom: None, settings: Settings::default() };
        return Ok(vec![FilterPipeline { name: "none".to_owned(), steps: vec![first] }]);
    };
    entries.into_iter().enumerate().map(|(place, entry)| pipeline(file, place, entry, components)).collect()
}

/// One entry of the list, the one at `place`.
fn pipeline(file: &Path, place: usize, entry: Value, components: &Components) -> Result<FilterPipeline, Error> {
    let path = format!("filter_list[{place}]");
    let mut keys = Keys::of(file, &path, entry)?;
    let name = keys.text("name")?.ok_or_else(|| keys.bad("name", "a string", &Value::Null))?;
    let steps = keys.list("filter")?.ok_or_else(|| keys.bad("filter", "a list of filters", &Value::Null))?;
    keys.ignore(&["metric_list"]);
    keys.finish()?;
    let step = |(place, value)| step(Keys::of(file, &format!("{path}.filter[{place}]"), value)?, components);
    Ok(FilterPipeline { name, steps: steps.into_iter().enumerate().map(step).collect::<Result<_, _>>()? })
}

/// One filter of a pipeline, its parameters checked against the filter's descriptions.
fn step(mut keys: Keys<'_>, components: &Components) -> Result<FilterConfig, Error> {
    let function = keys.text("function")?.ok_or_else(|| keys.bad("function", "the filter's name", &Value::Null))?;
    let custom = keys.built_in("filter_fn", |kind| matches!(kind, FunctionKind::Program(_)))?;
    if custom.is_some() && function == CUSTOM {
        keys.finish()?;
        return Ok(FilterConfig { function, custom, settings: Settings::default() });
    }
    let filter = components.filters.get(&function).map_err(|error| keys.setup("function", error))?;
    let settings = keys.settings("filter", filter)?;
    Ok(FilterConfig { function: filter.name().to_owned(), custom: None, settings })
}
