//! `filter_list`: pipelines of known filters.

use std::path::Path;

use serde_json::Value;

use super::keys::Keys;
use super::task::{FilterConfig, FilterPipeline, OutputType};
use crate::error::Error;

const SUPPORTED: &str = "regex, remove_whitespace, lowercase, uppercase, map, take_first, take_first_k, majority_vote";
/// lm-evaluation-harness's default of the regex filter: GSM8K's answers.
const DEFAULT_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";

/// What a pipeline may do: change generated answers, and take the first of them at its end.
pub(super) fn check(file: &Path, output_type: OutputType, pipelines: &[FilterPipeline]) -> Result<(), Error> {
    for (place, pipeline) in pipelines.iter().enumerate() {
        let last = pipeline.steps.iter().position(|step| *step == FilterConfig::TakeFirst);
        let ends_well = last.is_some_and(|last| last + 1 == pipeline.steps.len());
        let supported = match output_type {
            OutputType::GenerateUntil if ends_well => continue,
            OutputType::GenerateUntil => "pipelines with `take_first` in the last place and in no other",
            _ if ends_well && pipeline.steps.len() == 1 => continue,
            _ => "`take_first` alone, as there is no text to filter in answers of this output_type",
        };
        let (file, key) = (file.to_owned(), format!("filter_list[{place}].filter"));
        return Err(Error::Unsupported { file, key, value: pipeline.name.clone(), supported });
    }
    Ok(())
}

/// The pipelines; without any, one named `none` that takes the first answer.
pub(super) fn pipelines(keys: &mut Keys<'_>, file: &Path) -> Result<Vec<FilterPipeline>, Error> {
    let Some(entries) = keys.list("filter_list")? else {
        return Ok(vec![FilterPipeline { name: "none".to_owned(), steps: vec![FilterConfig::TakeFirst] }]);
    };
    entries.into_iter().enumerate().map(|(place, entry)| pipeline(file, place, entry)).collect()
}

fn pipeline(file: &Path, place: usize, entry: Value) -> Result<FilterPipeline, Error> {
    let path = format!("filter_list[{place}]");
    let mut keys = Keys::of(file, &path, entry)?;
    let name = keys.text("name")?.ok_or_else(|| keys.bad("name", "a string", &Value::Null))?;
    let steps = keys.list("filter")?.ok_or_else(|| keys.bad("filter", "a list of filters", &Value::Null))?;
    keys.ignore(&["metric_list"]);
    keys.finish()?;
    let step = |(place, value)| step(Keys::of(file, &format!("{path}.filter[{place}]"), value)?);
    Ok(FilterPipeline { name, steps: steps.into_iter().enumerate().map(step).collect::<Result<_, _>>()? })
}

fn step(mut keys: Keys<'_>) -> Result<FilterConfig, Error> {
    let function = keys.text("function")?.ok_or_else(|| keys.bad("function", "the filter's name", &Value::Null))?;
    let config = match function.as_str() {
        "regex" => FilterConfig::Regex {
            pattern: keys.text("regex_pattern")?.unwrap_or_else(|| DEFAULT_PATTERN.to_owned()),
            group_select: keys.whole("group_select")?.unwrap_or(0),
            fallback: keys.text("fallback")?.unwrap_or_else(|| "[invalid]".to_owned()),
        },
        "remove_whitespace" => FilterConfig::RemoveWhitespace,
        "lowercase" => FilterConfig::Lowercase,
        "uppercase" => FilterConfig::Uppercase,
        "map" => FilterConfig::Map {
            mapping: keys.map("mapping_dict")?.unwrap_or_default().into_iter().collect(),
            default: keys.value("default_value")?.unwrap_or(Value::Null),
        },
        "take_first" => FilterConfig::TakeFirst,
        "take_first_k" => FilterConfig::TakeFirstK {
            k: keys.count("k")?.ok_or_else(|| keys.bad("k", "the number of answers", &Value::Null))?,
        },
        "majority_vote" => FilterConfig::MajorityVote,
        _ => return Err(keys.unsupported("function", &Value::from(function), SUPPORTED)),
    };
    keys.finish()?;
    Ok(config)
}
