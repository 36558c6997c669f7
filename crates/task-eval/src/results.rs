//! The harness's `results.json`.
//!
//! | key | what |
//! |---|---|
//! | `results` | by task and group: name, alias, numbers and errors |
//! | `groups` | the groups again; absent without a group that sums something up |
//! | `group_subtasks` | by group, what is named in it |
//! | `configs` | by task, the keys of its file |
//! | `versions`, `n-shot`, `n-samples`, `higher_is_better`, `task_hashes` | by task, some also by group |
//! | `config` | how the run differed from the tasks |

use serde_json::{Map, Value, json};

use crate::config::Selection;
use crate::group::GroupResult;
use crate::options::Options;
use crate::prepared::PreparedTask;
use crate::result::{MetricValue, TaskResult};

/// What `results.json` says of a run besides the scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInfo {
    /// The model's name or path.
    pub model: String,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// How the run differed from the tasks.
    pub options: Options,
    /// Seconds since 1970.
    pub date: f64,
    /// How long the run took.
    pub seconds: f64,
}

/// `results.json` in lm-evaluation-harness's form; `results` in the order of `tasks`.
///
/// Of the harness's keys it has those that its table printer, its comparison script and its loggers read. `groups` of
/// the selection are summed up here ([`GroupResult::new`]); a task of the selection that is not in `tasks` is left out.
pub fn to_harness_json(selection: &Selection, tasks: &[PreparedTask], results: &[TaskResult], run: &RunInfo) -> Value {
    let groups: Vec<GroupResult> = selection.groups.iter().map(|group| GroupResult::new(group, results)).collect();
    let mut all = Map::new();
    for (task, result) in tasks.iter().zip(results) {
        all.insert(task.name().to_owned(), task_entry(task, result));
    }
    let mut summed = Map::new();
    for (config, group) in selection.groups.iter().zip(&groups).filter(|(_, group)| !group.metrics.is_empty()) {
        let entry = group_entry(config.alias.as_deref().unwrap_or(&config.name), group);
        summed.insert(group.group.clone(), entry.clone());
        all.insert(group.group.clone(), entry);
    }
    let mut json = Map::new();
    json.insert("results".to_owned(), Value::Object(all));
    if !summed.is_empty() {
        json.insert("groups".to_owned(), Value::Object(summed));
    }
    let by_task = |value: &dyn Fn(&PreparedTask) -> Value| -> Map<String, Value> {
        tasks.iter().map(|task| (task.name().to_owned(), value(task))).collect()
    };
    let mut versions = by_task(&|task| task.config().version.clone());
    versions.extend(
        selection.groups.iter().map(|group| (group.name.clone(), json!(group.version.as_deref().unwrap_or("N/A")))),
    );
    let mut better: Map<String, Value> =
        results.iter().map(|result| (result.task.clone(), directions(&result.metrics))).collect();
    better.extend(groups.iter().map(|group| (group.group.clone(), directions(&group.metrics))));
    let subtasks: Map<String, Value> =
        selection.groups.iter().map(|group| (group.name.clone(), json!(group.children))).collect();
    json.extend([
        ("group_subtasks".to_owned(), Value::Object(subtasks)),
        ("configs".to_owned(), Value::Object(by_task(&|task| Value::Object(task.config().raw().clone())))),
        ("versions".to_owned(), Value::Object(versions)),
        ("n-shot".to_owned(), Value::Object(by_task(&|task| json!(task.shots())))),
        ("higher_is_better".to_owned(), Value::Object(better)),
        (
            "n-samples".to_owned(),
            Value::Object(by_task(&|task| json!({"original": task.original_len(), "effective": task.len()}))),
        ),
        ("config".to_owned(), config(run)),
        ("date".to_owned(), json!(run.date)),
        ("task_hashes".to_owned(), Value::Object(by_task(&|task| json!(task.hash())))),
        ("model_source".to_owned(), json!("tailor")),
        ("model_name".to_owned(), json!(run.model)),
        ("system_instruction".to_owned(), json!(run.options.system_instruction)),
        ("fewshot_as_multiturn".to_owned(), json!(run.options.chat.as_ref().map(|chat| !chat.single_turn))),
        ("chat_template".to_owned(), json!(tasks.iter().find_map(|task| task.inner.chat_template.as_deref()))),
        ("total_evaluation_time_seconds".to_owned(), json!(run.seconds.to_string())),
    ]);
    Value::Object(json)
}

/// A task's part of `results`.
fn task_entry(task: &PreparedTask, result: &TaskResult) -> Value {
    let alias = task.config().alias.as_deref().unwrap_or(task.name());
    let mut entry = Map::from_iter([
        ("name".to_owned(), json!(task.name())),
        ("alias".to_owned(), json!(alias)),
        ("sample_len".to_owned(), json!(result.documents.len())),
    ]);
    add_metrics(&mut entry, &result.metrics);
    Value::Object(entry)
}

/// A group's part of `results` and of `groups`. Its `sample_len` is the documents of the number that has most.
fn group_entry(alias: &str, group: &GroupResult) -> Value {
    let most = group.documents.values().max().copied().unwrap_or(0);
    let mut entry = Map::from_iter([
        ("alias".to_owned(), json!(alias)),
        ("name".to_owned(), json!(group.group)),
        ("sample_len".to_owned(), json!(most)),
    ]);
    add_metrics(&mut entry, &group.metrics);
    entry.insert("sample_count".to_owned(), json!(group.documents));
    Value::Object(entry)
}

/// `acc,none` and `acc_stderr,none`; an error that is not known is the string `N/A`.
fn add_metrics(entry: &mut Map<String, Value>, metrics: &indexmap::IndexMap<String, MetricValue>) {
    for (key, metric) in metrics {
        let (name, filter) = key.split_once(',').unwrap_or((key, "none"));
        entry.insert(key.clone(), json!(metric.value));
        entry.insert(
            format!("{name}_stderr,{filter}"),
            metric.stderr.map_or_else(|| json!("N/A"), |error| json!(error)),
        );
    }
}

/// By metric, whether more is better.
fn directions(metrics: &indexmap::IndexMap<String, MetricValue>) -> Value {
    let direction = |(key, metric): (&String, &MetricValue)| {
        (key.split(',').next().unwrap_or(key).to_owned(), json!(metric.higher_is_better))
    };
    Value::Object(metrics.iter().map(direction).collect())
}

/// What the run said, in the harness's words.
fn config(run: &RunInfo) -> Value {
    let options = &run.options;
    json!({
        "model": "tailor",
        "model_args": {"pretrained": run.model},
        "device": run.device,
        "limit": options.limit.map(crate::options::Limit::as_number),
        "num_fewshot": options.num_fewshot,
        "split": options.split,
        "max_length": options.max_length,
        "bootstrap_iters": options.bootstrap_iterations,
        "fewshot_seed": options.seed,
    })
}
