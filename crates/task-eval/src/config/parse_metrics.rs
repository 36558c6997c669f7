//! `metric_list`: known metrics with their aggregations and switches.

use std::path::Path;

use serde_json::Value;

use super::keys::Keys;
use super::task::{MetricConfig, OutputType};
use crate::builtins::{BuiltIn, Work};
use crate::error::Error;
use crate::metrics::{Aggregation, ExactMatchOptions, METRICS, MetricKind, MetricRow};

const METRICS_SUPPORTED: &str = "acc, acc_norm, acc_bytes, acc_mutual_info, exact_match, f1, em, mcc, brier_score, \
     perplexity, word_perplexity, byte_perplexity, bits_per_byte, bleu, chrf, chrf++, ter, each with its own kinds of request";
const AGGREGATIONS_SUPPORTED: &str = "mean, median, nanmean, perplexity, weighted_perplexity, bits_per_byte, f1, mcc, brier_score, bleu, chrf, chrf++, ter";

/// The metrics; without a list, those that the harness takes for this kind of request.
pub(super) fn metrics(
    keys: &mut Keys<'_>,
    file: &Path,
    output_type: OutputType,
    process_results: Option<BuiltIn>,
) -> Result<Vec<MetricConfig>, Error> {
    let agreeing = process_results.is_some_and(|function| matches!(function.work(), Work::Agreement(_)));
    let Some(entries) = keys.list("metric_list")? else {
        return Ok(defaults(output_type).iter().filter_map(|&kind| row(kind)).map(as_registered).collect());
    };
    entries.into_iter().enumerate().map(|(place, entry)| metric(file, place, entry, output_type, agreeing)).collect()
}

fn defaults(output_type: OutputType) -> &'static [MetricKind] {
    match output_type {
        OutputType::Loglikelihood => &[MetricKind::Perplexity, MetricKind::Acc],
        OutputType::LoglikelihoodRolling => {
            &[MetricKind::WordPerplexity, MetricKind::BytePerplexity, MetricKind::BitsPerByte]
        }
        OutputType::MultipleChoice => &[MetricKind::Acc, MetricKind::AccNorm],
        OutputType::GenerateUntil => &[MetricKind::ExactMatch],
    }
}

fn row(kind: MetricKind) -> Option<&'static MetricRow> {
    METRICS.iter().find(|row| row.kind == kind)
}

fn as_registered(row: &MetricRow) -> MetricConfig {
    MetricConfig {
        metric: row.kind,
        aggregation: row.aggregation,
        higher_is_better: row.higher_is_better,
        exact_match: ExactMatchOptions::default(),
    }
}

fn metric(
    file: &Path,
    place: usize,
    entry: Value,
    output_type: OutputType,
    agreeing: bool,
) -> Result<MetricConfig, Error> {
    let mut keys = Keys::of(file, &format!("metric_list[{place}]"), entry)?;
    let name = keys.text("metric")?.ok_or_else(|| keys.bad("metric", "the metric's name", &Value::Null))?;
    let row = METRICS
        .iter()
        .find(|row| row.name == name && row.output_types.contains(&output_type))
        .ok_or_else(|| keys.unsupported("metric", &Value::from(name), METRICS_SUPPORTED))?;
    check_agreeing(&keys, row, agreeing)?;
    keys.refuse("hf_evaluate", "metrics that are built in")?;
    let config = MetricConfig {
        aggregation: aggregation(&mut keys)?.unwrap_or(row.aggregation),
        higher_is_better: keys.flag("higher_is_better")?.unwrap_or(row.higher_is_better),
        exact_match: if row.kind == MetricKind::ExactMatch {
            switches(&mut keys)?
        } else {
            ExactMatchOptions::default()
        },
        metric: row.kind,
    };
    if !row.kind.can_be_aggregated_by(config.aggregation, agreeing) {
        return Err(Error::Unsupported {
            file: file.to_owned(),
            key: format!("metric_list[{place}].aggregation"),
            value: format!("{:?}", config.aggregation),
            supported: "for this metric: the aggregation that it has when none is written",
        });
    }
    keys.finish()?;
    Ok(config)
}

/// `em` is what a function of the task says, and such a function says nothing but `f1` and `em`.
fn check_agreeing(keys: &Keys<'_>, row: &MetricRow, agreeing: bool) -> Result<(), Error> {
    const ALONE: &str = "em beside a `process_results` that says it, such as record.process_results";
    const BESIDE: &str = "f1 and em, which are what this `process_results` says";
    match (row.kind, agreeing) {
        (MetricKind::Em, false) => Err(keys.unsupported("metric", &Value::from(row.name), ALONE)),
        (MetricKind::Em | MetricKind::F1, true) | (_, false) => Ok(()),
        (_, true) => Err(keys.unsupported("metric", &Value::from(row.name), BESIDE)),
    }
}

fn aggregation(keys: &mut Keys<'_>) -> Result<Option<Aggregation>, Error> {
    let function = keys.built_in("aggregation", |work| matches!(work, Work::Aggregation(_)))?;
    if let Some(Work::Aggregation(aggregation)) = function.map(BuiltIn::work) {
        return Ok(Some(aggregation));
    }
    let Some(value) = keys.value("aggregation")? else { return Ok(None) };
    serde_json::from_value(value.clone())
        .map(Some)
        .map_err(|_| keys.unsupported("aggregation", &value, AGGREGATIONS_SUPPORTED))
}

fn switches(keys: &mut Keys<'_>) -> Result<ExactMatchOptions, Error> {
    Ok(ExactMatchOptions {
        regexes_to_ignore: keys.texts("regexes_to_ignore")?.unwrap_or_default(),
        ignore_case: keys.flag("ignore_case")?.unwrap_or(false),
        ignore_punctuation: keys.flag("ignore_punctuation")?.unwrap_or(false),
        ignore_numbers: keys.flag("ignore_numbers")?.unwrap_or(false),
    })
}
