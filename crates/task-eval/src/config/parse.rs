//! From a mapping of keys to a [`TaskConfig`].
//!
//! Keys that only Python can give meaning to are refused; those that change no number (`should_decontaminate`, ...) are
//! read and dropped; what is left in the end is unknown, and refused by name.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::keys::{Keys, missing};
use super::output_type::OutputType;
use super::task::{FewshotConfig, GenerationConfig, Sampler, TaskConfig, ValueSource};
use super::{parse_data, parse_filters, parse_metrics};
use crate::builtins::{BuiltIn, FunctionKind};
use crate::components::Components;
use crate::error::Error;

/// The harness's limit where a task says none.
const DEFAULT_MAX_NEW_TOKENS: usize = 256;
/// The most repeats of a document: every one of its answers is kept in memory.
const MOST_REPEATS: usize = 10_000;
/// The names of one setting, the one that wins first.
const MAX_NEW_TOKENS: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

impl TaskConfig {
    /// A task from the keys of its file; `file` says where its data are and is named in errors. Its metrics and
    /// filters are ours.
    ///
    /// Needed are `task`, `dataset_path`, `doc_to_target` and, where there are choices, `doc_to_choice`.
    ///
    /// ```
    /// use task_eval::{OutputType, TaskConfig};
    ///
    /// let keys = serde_json::json!({
    ///     "task": "sums", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "sums.jsonl"}},
    ///     "test_split": "test", "doc_to_text": "{{a}} + {{b}} =", "doc_to_target": "{{sum}}",
    /// });
    /// let task = TaskConfig::from_keys("sums.yaml".as_ref(), keys.as_object().unwrap().clone())?;
    /// assert_eq!((task.output_type, task.repeats), (OutputType::GenerateUntil, 1));
    /// assert_eq!((task.generation.max_new_tokens, task.generation.until), (256, vec!["\n\n".to_owned()]));
    /// # Ok::<(), task_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key that is unknown, missing, not supported here, or of a wrong value. The error names the file and the key.
    pub fn from_keys(file: &Path, raw: Map<String, Value>) -> Result<Self, Error> {
        Self::from_keys_with(file, raw, Components::standard())
    }

    /// As [`TaskConfig::from_keys`], with metrics and filters of one's own.
    ///
    /// # Errors
    /// As [`TaskConfig::from_keys`].
    pub fn from_keys_with(file: &Path, raw: Map<String, Value>, components: Arc<Components>) -> Result<Self, Error> {
        let mut keys = Keys::new(file, "", raw.clone());
        keys.ignore(&["should_decontaminate", "doc_to_decontamination_query", "unsafe_code", "group", "task_list"]);
        let task = keys.text("task")?.ok_or_else(|| missing(file, "task"))?;
        let output_type = output_type(&mut keys)?;
        let target_delimiter = keys.text("target_delimiter")?.unwrap_or_else(|| " ".to_owned());
        let fewshot_delimiter = keys.text("fewshot_delimiter")?.unwrap_or_else(|| "\n\n".to_owned());
        let doc_to_text = source(&mut keys, "doc_to_text")?.unwrap_or_else(|| ValueSource::Text(String::new()));
        let doc_to_target = source(&mut keys, "doc_to_target")?.ok_or_else(|| missing(file, "doc_to_target"))?;
        let doc_to_choice = source(&mut keys, "doc_to_choice")?;
        if output_type.has_choices() && doc_to_choice.is_none() {
            return Err(missing(file, "doc_to_choice"));
        }
        let process_docs = process_docs(&mut keys)?;
        let process_results = process_results(&mut keys, output_type)?;
        refuse_python_only(&mut keys)?;
        let gen_prefix = keys.text("gen_prefix")?;
        let fewshot_split = keys.text("fewshot_split")?;
        let as_in_task = FewshotConfig {
            sampler: Sampler::Default,
            split: fewshot_split.clone(),
            process_docs,
            samples: None,
            doc_to_text: doc_to_text.clone(),
            doc_to_target: doc_to_target.clone(),
            doc_to_choice: doc_to_choice.clone(),
            gen_prefix: gen_prefix.clone(),
            fewshot_delimiter: fewshot_delimiter.clone(),
            target_delimiter: target_delimiter.clone(),
        };
        let config = Self {
            file: file.to_owned(),
            alias: keys.text("task_alias")?,
            tags: keys.texts("tag")?.unwrap_or_default(),
            data: parse_data::source(&mut keys, file)?,
            training_split: keys.text("training_split")?,
            validation_split: keys.text("validation_split")?,
            test_split: keys.text("test_split")?,
            fewshot_split,
            process_docs,
            output_type,
            doc_to_text,
            doc_to_target,
            doc_to_choice,
            description: keys.text("description")?.unwrap_or_default(),
            target_delimiter,
            gen_prefix,
            fewshot: fewshot(&mut keys, file, as_in_task)?,
            num_fewshot: keys.count("num_fewshot")?,
            generation: generation(&mut keys, file, &fewshot_delimiter)?,
            fewshot_delimiter,
            repeats: keys.count("repeats")?.unwrap_or(1),
            filters: parse_filters::pipelines(&mut keys, file, &components)?,
            process_results,
            metrics: parse_metrics::metrics(&mut keys, file, output_type, process_results, &components)?,
            version: version(&mut keys)?,
            task,
            components,
            raw,
        };
        keys.finish()?;
        parse_filters::check(file, output_type, &config.filters, &config.components)?;
        if !(1..=MOST_REPEATS).contains(&config.repeats) {
            let (file, key, found) = (file.to_owned(), "repeats".to_owned(), config.repeats.to_string());
            return Err(Error::BadValue { file, key, expected: "1 to 10000", found });
        }
        Ok(config)
    }

    /// The same task with other values for some keys, as a group's entries and `--task-override`s do.
    ///
    /// # Errors
    /// As [`TaskConfig::from_keys`].
    pub fn with_overrides(&self, overrides: &Map<String, Value>) -> Result<Self, Error> {
        let mut raw = self.raw.clone();
        raw.extend(overrides.iter().map(|(key, value)| (key.clone(), value.clone())));
        Self::from_keys_with(&self.file, raw, Arc::clone(&self.components))
    }

    /// The keys as the file, what it includes and the overrides gave them.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// The split that is evaluated: the test split, or else the validation split.
    pub fn evaluated_split(&self) -> Option<&str> {
        self.test_split.as_deref().or(self.validation_split.as_deref())
    }
}

/// Keys that only make sense with Python, or with data that are not text.
fn refuse_python_only(keys: &mut Keys<'_>) -> Result<(), Error> {
    const NO_PYTHON: &str = "tasks written in YAML and Jinja alone";
    const TEXT: &str = "tasks of text alone";
    for key in ["process_results", "custom_dataset", "class", "use_prompt"] {
        keys.refuse(key, NO_PYTHON)?;
    }
    for key in ["doc_to_image", "doc_to_audio"] {
        keys.refuse(key, TEXT)?;
    }
    Ok(())
}

/// `output_type`; `generate_until` if the task says none.
fn output_type(keys: &mut Keys<'_>) -> Result<OutputType, Error> {
    const SUPPORTED: &str = "generate_until, multiple_choice, whole_prompt_ppl, loglikelihood, loglikelihood_rolling";
    let Some(value) = keys.value("output_type")? else { return Ok(OutputType::GenerateUntil) };
    serde_json::from_value(value.clone()).map_err(|_| keys.unsupported("output_type", &value, SUPPORTED))
}

/// A function that says what the metrics observe; what it can say depends on what the model is asked.
fn process_results(keys: &mut Keys<'_>, output_type: OutputType) -> Result<Option<BuiltIn>, Error> {
    let fits: fn(FunctionKind) -> bool = match output_type {
        OutputType::LoglikelihoodRolling => |kind| matches!(kind, FunctionKind::CountedText(_)),
        OutputType::MultipleChoice => |kind| matches!(kind, FunctionKind::RightChoices(_) | FunctionKind::Agreement(_)),
        _ => |_| false,
    };
    keys.built_in("process_results", fits)
}

/// One of the keys `doc_to_*`: a template or a column's name, a number, a list, the values of a mapping, or a built-in
/// function. None if it is missing.
fn source(keys: &mut Keys<'_>, key: &str) -> Result<Option<ValueSource>, Error> {
    if let Some(function) = keys.built_in(key, |kind| matches!(kind, FunctionKind::Value(_)))? {
        return Ok(Some(ValueSource::BuiltIn(function)));
    }
    Ok(Some(match keys.value(key)? {
        None => return Ok(None),
        Some(Value::String(text)) => ValueSource::Text(text),
        Some(Value::Array(items)) => ValueSource::List(items),
        Some(Value::Object(map)) => ValueSource::List(map.into_iter().map(|(_, value)| value).collect()),
        Some(other) => match other.as_i64() {
            Some(n) => ValueSource::Int(n),
            None => return Err(keys.bad(key, "a template, a column, a whole number or a list", &other)),
        },
    }))
}

/// `fewshot_config`; what it leaves out is as in `task`.
fn fewshot(keys: &mut Keys<'_>, file: &Path, task: FewshotConfig) -> Result<FewshotConfig, Error> {
    let Some(value) = keys.value("fewshot_config")? else { return Ok(task) };
    let mut keys = Keys::of(file, "fewshot_config", value)?;
    // lm-evaluation-harness reads `fewshot_indices` and never uses them.
    keys.ignore(&["fewshot_indices"]);
    let task = without_nulls(&keys, task);
    let sampler = match keys.text("sampler")?.as_deref() {
        None | Some("default") => Sampler::Default,
        Some("first_n") => Sampler::FirstN,
        Some(other) => return Err(keys.unsupported("sampler", &Value::from(other), "default, first_n")),
    };
    let config = FewshotConfig {
        sampler,
        split: keys.text("split")?.or(task.split),
        process_docs: process_docs(&mut keys)?.or(task.process_docs),
        samples: samples(&mut keys)?,
        doc_to_text: source(&mut keys, "doc_to_text")?.unwrap_or(task.doc_to_text),
        doc_to_target: source(&mut keys, "doc_to_target")?.unwrap_or(task.doc_to_target),
        doc_to_choice: source(&mut keys, "doc_to_choice")?.or(task.doc_to_choice),
        gen_prefix: keys.text("gen_prefix")?.or(task.gen_prefix),
        fewshot_delimiter: keys.text("fewshot_delimiter")?.unwrap_or(task.fewshot_delimiter),
        target_delimiter: keys.text("target_delimiter")?.unwrap_or(task.target_delimiter),
    };
    keys.finish()?;
    Ok(config)
}

/// The task's own values without those that `fewshot_config` takes back by `KEY: null`.
fn without_nulls(keys: &Keys<'_>, task: FewshotConfig) -> FewshotConfig {
    FewshotConfig {
        split: task.split.filter(|_| !keys.is_null("split")),
        process_docs: task.process_docs.filter(|_| !keys.is_null("process_docs")),
        doc_to_choice: task.doc_to_choice.filter(|_| !keys.is_null("doc_to_choice")),
        gen_prefix: task.gen_prefix.filter(|_| !keys.is_null("gen_prefix")),
        ..task
    }
}

/// `process_docs`: a built-in function of documents. Any other is refused.
fn process_docs(keys: &mut Keys<'_>) -> Result<Option<BuiltIn>, Error> {
    let function =
        keys.built_in("process_docs", |kind| matches!(kind, FunctionKind::Document(_) | FunctionKind::Split(_)))?;
    if function.is_none() {
        keys.refuse("process_docs", "functions that are built in")?;
    }
    Ok(function)
}

/// Documents written in the task, or by a function.
fn samples(keys: &mut Keys<'_>) -> Result<Option<Vec<Map<String, Value>>>, Error> {
    let function = keys.built_in("samples", |kind| matches!(kind, FunctionKind::Samples(_)))?;
    if let Some(FunctionKind::Samples(samples)) = function.map(BuiltIn::kind) {
        return Ok(Some(samples()));
    }
    let Some(items) = keys.list("samples")? else { return Ok(None) };
    let document = |item: Value| match item {
        Value::Object(map) => Ok(map),
        other => Err(keys.bad("samples", "a list of documents", &other)),
    };
    items.into_iter().map(document).collect::<Result<_, _>>().map(Some)
}

/// `generation_kwargs`. Without `until` an answer ends where a shot would; sampling is refused, and what only shapes
/// sampling is dropped.
fn generation(keys: &mut Keys<'_>, file: &Path, fewshot_delimiter: &str) -> Result<GenerationConfig, Error> {
    const GREEDY: &str = "greedy decoding (do_sample: false, or temperature: 0)";
    let given = keys.value("generation_kwargs")?;
    let mut raw = match given.clone() {
        Some(Value::Object(map)) => map,
        // What the harness writes when a task says nothing.
        None => Map::from_iter([("do_sample".to_owned(), Value::Bool(false))]),
        Some(other) => return Err(keys.bad("generation_kwargs", "a mapping", &other)),
    };
    if !raw.contains_key("until") {
        raw.insert("until".to_owned(), Value::from(vec![fewshot_delimiter]));
    }
    let mut kwargs = Keys::new(file, "generation_kwargs.", raw.clone());
    let until = kwargs.texts("until")?.unwrap_or_default();
    let mut max_new_tokens = None;
    for name in MAX_NEW_TOKENS {
        max_new_tokens = max_new_tokens.or(kwargs.count(name)?);
    }
    let temperature = kwargs.number("temperature")?.unwrap_or(0.0);
    match kwargs.flag("do_sample")? {
        Some(true) => return Err(kwargs.unsupported("do_sample", &Value::Bool(true), GREEDY)),
        None if temperature > 0.0 => {
            return Err(kwargs.unsupported("temperature", &Value::from(temperature), GREEDY));
        }
        _ => {}
    }
    // These shape sampling, and greedy decoding does not sample.
    kwargs.ignore(&["top_p", "top_k", "num_beams", "min_p"]);
    kwargs.finish()?;
    Ok(GenerationConfig { until, max_new_tokens: max_new_tokens.unwrap_or(DEFAULT_MAX_NEW_TOKENS), raw })
}

/// `metadata.version`; without one the harness writes the string `Yaml`.
fn version(keys: &mut Keys<'_>) -> Result<Value, Error> {
    let metadata = keys.map("metadata")?;
    Ok(metadata
        .and_then(|map| map.get("version").cloned())
        .filter(|version| !version.is_null())
        .unwrap_or_else(|| Value::from("Yaml")))
}
