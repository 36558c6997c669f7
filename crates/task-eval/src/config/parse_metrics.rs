//! `metric_list`: metrics that are in the table, with their aggregations and parameters.
//!
//! ```yaml
//! metric_list:
//!   - metric: exact_match
//!     aggregation: mean         # the metric's own, if absent
//!     higher_is_better: true    # the metric's own, if absent
//!     ignore_case: true         # any other key is a parameter of the metric
//! ```

use std::path::Path;

use serde_json::Value;
use tailor_registry::{Entry, Settings};

use super::keys::Keys;
use super::output_type::OutputType;
use super::task::MetricConfig;
use crate::builtins::{BuiltIn, FunctionKind};
use crate::components::Components;
use crate::error::Error;
use crate::metrics::{AnswerKind, Metric, ObservationKind};

/// The metrics; without a list, those that say that they are this kind of task's.
pub(super) fn metrics(
    keys: &mut Keys<'_>,
    file: &Path,
    output_type: OutputType,
    process_results: Option<BuiltIn>,
    components: &Components,
) -> Result<Vec<MetricConfig>, Error> {
    let graded = process_results.is_some_and(|function| matches!(function.kind(), FunctionKind::Agreement(_)));
    let answers = AnswerKind::of(output_type, graded);
    let Some(entries) = keys.list("metric_list")? else {
        let defaults = components.metrics.iter().filter(|metric| metric.default_for().contains(&output_type));
        return Ok(defaults.map(as_registered).collect());
    };
    entries.into_iter().enumerate().map(|(place, entry)| metric(file, place, entry, answers, components)).collect()
}

/// A metric with its own aggregation, direction and defaults.
fn as_registered(metric: &dyn Metric) -> MetricConfig {
    MetricConfig {
        metric: metric.name().to_owned(),
        name: metric.reported_as(&Settings::defaults(metric)),
        aggregation: metric.aggregation().to_owned(),
        higher_is_better: metric.higher_is_better(),
        settings: Settings::defaults(metric),
    }
}

/// One entry of the list, the one at `place`. The metric has to be computable from the task's answers, and the
/// aggregation to put together what it observes in them.
fn metric(
    file: &Path,
    place: usize,
    entry: Value,
    answers: AnswerKind,
    components: &Components,
) -> Result<MetricConfig, Error> {
    let mut keys = Keys::of(file, &format!("metric_list[{place}]"), entry)?;
    let function = keys.built_in("metric", |kind| matches!(kind, FunctionKind::Metric(_)))?;
    let name = match function.map(BuiltIn::kind) {
        Some(FunctionKind::Metric(name)) => name.to_owned(),
        _ => keys.text("metric")?.ok_or_else(|| keys.bad("metric", "the metric's name", &Value::Null))?,
    };
    let metric = components.metrics.get(&name).map_err(|error| keys.setup("metric", error))?;
    let observed = observed(metric, answers)
        .ok_or_else(|| keys.unsupported("metric", &Value::from(name.as_str()), fitting(components, metric, answers)))?;
    keys.refuse("hf_evaluate", "metrics that are built in")?;
    let aggregation = aggregation(&mut keys)?.unwrap_or_else(|| metric.aggregation().to_owned());
    let accepted = components.aggregations.get(&aggregation).map_err(|error| keys.setup("aggregation", error))?;
    if accepted.accepts() != observed {
        let others = components.aggregations.iter().filter(|other| other.accepts() == observed);
        let supported = format!("{}, as `{name}` observes {observed}", joined(others.map(Entry::name)));
        return Err(keys.unsupported("aggregation", &Value::from(aggregation), supported));
    }
    let higher_is_better = keys.flag("higher_is_better")?.unwrap_or(metric.higher_is_better());
    let settings = keys.settings("metric", metric)?;
    Ok(MetricConfig {
        metric: metric.name().to_owned(),
        name: metric.reported_as(&settings),
        aggregation: accepted.name().to_owned(),
        higher_is_better,
        settings,
    })
}

/// What the metric observes in such answers; None if it cannot be computed from them.
fn observed(metric: &dyn Metric, answers: AnswerKind) -> Option<ObservationKind> {
    metric.observes().iter().find(|(kind, _)| *kind == answers).map(|(_, observed)| *observed)
}

/// The metrics that can be computed from such answers, and what this one is computed from, in words.
fn fitting(components: &Components, metric: &dyn Metric, answers: AnswerKind) -> String {
    let fitting = components.metrics.iter().filter(|metric| observed(*metric, answers).is_some());
    let needed: Vec<String> = metric.observes().iter().map(|(kind, _)| kind.to_string()).collect();
    let (fitting, needed, name) = (joined(fitting.map(Entry::name)), needed.join(", "), metric.name());
    format!("{fitting}, as this task's answers are {answers}; `{name}` is computed from {needed}")
}

/// Names, with commas between them.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The name of an aggregation, which may stand there as a function of the task.
fn aggregation(keys: &mut Keys<'_>) -> Result<Option<String>, Error> {
    let function = keys.built_in("aggregation", |kind| matches!(kind, FunctionKind::Aggregation(_)))?;
    match function.map(BuiltIn::kind) {
        Some(FunctionKind::Aggregation(name)) => Ok(Some(name.to_owned())),
        _ => keys.text("aggregation"),
    }
}
