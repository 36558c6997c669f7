//! `tailor eval`: a model's scores on tasks.
//!
//! The model runs here, straight from its checkpoint or recipe, or behind a server (`--server`). Tasks are prepared by
//! task-eval, whose numbers are those of lm-evaluation-harness; all of them are prepared before the first is evaluated,
//! so that a mistake in the last one is known at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use layer_ir::{Family, Hub, resolve_model_with};
use layer_runtime::{Explainer, RecipeModel, Runtime, RuntimeOptions, open_devices};
use merge_ops::Registry;
use recipe_search::{Bos, DocumentMeter, WorkDone, check_writable, token_text, write_whole};
use tailor::Error;
use task_eval::{
    ChatOptions, CompletionsModel, CompletionsOptions, Components, GroupResult, LanguageModel, Limit, ModelTokenizer,
    Options, PreparedTask, RunInfo, Selection, TaskConfig, TaskResult, table, to_harness_json,
};

use super::console::Console;
use super::counted::Counted;
use super::merge::DtypeName;
use super::progress::tasks_bar;
use super::target::open_model;
use super::tasks::TaskArguments;

/// Score a checkpoint or a recipe on tasks, as lm-evaluation-harness does.
#[derive(Debug, clap::Args)]
#[command(after_long_help = what_a_task_can_name())]
pub(super) struct Arguments {
    /// A checkpoint (folder or hub id, `org/name@revision`) or a recipe (.yaml), which runs without being written; with
    /// `--server` the folder of the tokenizer.
    path: PathBuf,
    #[command(flatten)]
    tasks: TaskArguments,
    /// Only the first documents: a count, or below 1 a share.
    #[arg(long)]
    limit: Option<f64>,
    /// Only these documents of each task, as JSON or a file with it: `{"TASK": [0, 4]}`, by their places in the split.
    #[arg(long, value_name = "JSON", conflicts_with = "limit")]
    samples: Option<String>,
    /// The split; without it, the one that the task says.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Examples before each question; without it, as many as the task says.
    #[arg(long)]
    num_fewshot: Option<usize>,
    /// Whether texts begin with the BOS token: `auto` as the tokenizer has it, `true` or `false`.
    #[arg(long, value_name = "BOOL", default_value = "auto")]
    bos: Bos,
    /// Tokens of a prompt with its answer, of which longer ones lose their beginning; without it, the model's window,
    /// and with `--server` 2048.
    #[arg(long, value_name = "TOKENS")]
    max_length: Option<usize>,
    #[command(flatten)]
    chat: ChatArguments,
    #[command(flatten)]
    server: ServerArguments,
    /// cpu, cuda[:i] or wgpu[:i] (see `tailor devices`); several, apart by commas, share the requests out.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The type of weights and products: f32, or bf16 or f16 with sums in f32.
    #[arg(long, default_value = "f32")]
    dtype: DtypeName,
    /// Memory for built layers, in MiB; what does not fit is built anew when it is needed.
    #[arg(long, default_value_t = 4096)]
    memory_mib: usize,
    /// Print how the tasks would be computed, and compute nothing.
    #[arg(long)]
    explain: bool,
    /// Sequences of the model's full window that are computed at once, more of shorter ones; with `--server` prompts in
    /// one request.
    #[arg(long)]
    batch_size: Option<usize>,
    /// The seed of the few-shot draws.
    #[arg(long, default_value_t = task_eval::DEFAULT_SEED)]
    seed: u64,
    /// The file of the results, in the harness's form.
    #[arg(long, value_name = "FILE.json")]
    output: Option<PathBuf>,
    /// A file for every prompt and answer, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    log_samples: Option<PathBuf>,
}

/// How prompts become conversations; the names are the harness's.
#[derive(Debug, clap::Args)]
struct ChatArguments {
    /// Prompts as conversations in the model's chat template, which is named where it has several.
    #[arg(long, value_name = "NAME")]
    apply_chat_template: Option<Option<String>>,
    /// Whether each example before a question is a turn of its own.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    #[arg(requires = "apply_chat_template")]
    fewshot_as_multiturn: bool,
    /// What the model is told first.
    #[arg(long, value_name = "TEXT")]
    system_instruction: Option<String>,
}

impl ChatArguments {
    /// How task-eval writes conversations; none where prompts are plain text.
    fn options(&self) -> Option<ChatOptions> {
        let template = self.apply_chat_template.clone()?;
        Some(ChatOptions { template, single_turn: !self.fewshot_as_multiturn, ..ChatOptions::default() })
    }
}

/// A model that computes elsewhere.
#[derive(Debug, clap::Args)]
struct ServerArguments {
    /// Score the model of an OpenAI-compatible completions server, such as http://localhost:8000/v1. A key that it
    /// wants is taken from `OPENAI_API_KEY`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["device", "dtype", "memory_mib", "explain"])]
    server: Option<String>,
    /// What the server calls the model; without it, the path of the tokenizer.
    #[arg(long, value_name = "NAME", requires = "server")]
    model: Option<String>,
}

/// What stands below `tailor eval --help`: the rows of the tables of metrics and filters.
fn what_a_task_can_name() -> String {
    let tables = Components::default();
    format!("`metric_list` of a task file:\n{}\n`filter_list`:\n{}", tables.metrics.help(), tables.filters.help())
}

/// What is evaluated, and how: what the results' file says of the run.
struct About {
    /// The path of a model that runs here, or a server's name of its model.
    model: String,
    /// The devices, or the server's URL.
    device: String,
    /// How the tasks were prepared.
    options: Options,
    /// How much of its work the model has done.
    work: Arc<dyn Fn() -> WorkDone + Send + Sync>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    for file in arguments.output.iter().chain(&arguments.log_samples) {
        check_writable(file)?;
    }
    match &arguments.server.server {
        Some(url) => run_there(arguments, url, console),
        None => run_here(arguments, console),
    }
}

/// Evaluates a checkpoint or a recipe on devices of this machine.
fn run_here(arguments: &Arguments, console: &Console) -> Result<(), Error> {
    let options = options(arguments, console)?;
    let (family, recipe) = open_model(&arguments.path, &arguments.tasks.hub(console))?;
    let recipe = recipe.validate(&family, &Registry::standard())?;
    let text = arguments.bos.of(token_text(&family, &recipe)?);
    let (selection, tasks) = prepare(arguments, &text, &options)?;

    let mut devices = open_devices(&arguments.device)?;
    let first = devices.remove(0);
    let runtime_options = runtime_options(arguments, &family)?;
    let runtime = Runtime::new(family, Registry::standard(), first, runtime_options)?.with_further_devices(devices)?;
    let mut model = runtime.model(recipe)?;
    if arguments.explain {
        return explain(&tasks, model, console);
    }
    let (name, device) = (arguments.path.display().to_string(), arguments.device.clone());
    let about = About { model: name, device, options, work: Arc::new(move || WorkDone::of(&runtime)) };
    report(arguments, &selection, &tasks, &mut model, about, console)
}

/// Evaluates a server's model; what it would not see in its window is refused or cut as the tasks are prepared.
fn run_there(arguments: &Arguments, url: &str, console: &Console) -> Result<(), Error> {
    let name = arguments.server.model.clone().unwrap_or_else(|| arguments.path.display().to_string());
    let standard = CompletionsOptions::default();
    let server = CompletionsOptions {
        api_key: std::env::var("OPENAI_API_KEY").ok(),
        max_length: arguments.max_length.unwrap_or(standard.max_length),
        batch_size: arguments.batch_size.unwrap_or(standard.batch_size),
        ..standard
    };
    let batch = server.batch_size;
    let mut model = Counted::new(CompletionsModel::new(url, &name, server), batch);
    let options = Options { max_length: Some(model.max_length()), ..options(arguments, console)? };
    let mut tokenizer = arguments.path.clone();
    if !tokenizer.exists() {
        // Of a model on the hub, its weights are not needed.
        let hub = Hub { headers_only: true, ..arguments.tasks.hub(console) };
        tokenizer = resolve_model_with(&tokenizer.display().to_string(), Path::new("."), &hub)?;
    }
    let text = arguments.bos.of(ModelTokenizer::load(tokenizer)?);
    let (selection, tasks) = prepare(arguments, &text, &options)?;
    let about = About { model: name, device: url.to_owned(), options, work: Arc::new(model.work()) };
    report(arguments, &selection, &tasks, &mut model, about, console)
}

/// Evaluates and says what came out: the table on stdout, and the files that were asked for.
fn report(
    arguments: &Arguments,
    selection: &Selection,
    tasks: &[PreparedTask],
    model: &mut dyn LanguageModel,
    about: About,
    console: &Console,
) -> Result<(), Error> {
    let start = Instant::now();
    let results = evaluate(tasks, model, &about.work, console)?;
    let run = RunInfo {
        model: about.model,
        device: about.device,
        options: about.options,
        date: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        seconds: start.elapsed().as_secs_f64(),
    };
    if let Some(file) = &arguments.log_samples {
        write_samples(file, tasks, &results)?;
    }
    if let Some(file) = &arguments.output {
        let json = to_harness_json(selection, tasks, &results, &run);
        write_whole(file, &format!("{json:#}\n"))?;
    }
    console.say(&summed(selection, &results))
}

/// The tasks, prepared, each with its samples where some are named.
///
/// # Errors
/// As of [`TaskArguments::prepare`]; [`Error::BadOption`] for samples that are no JSON of lists, or of no task.
fn prepare(
    arguments: &Arguments,
    text: &ModelTokenizer,
    options: &Options,
) -> Result<(Selection, Vec<PreparedTask>), Error> {
    let Some(given) = &arguments.samples else { return arguments.tasks.prepare(text, |_| options.clone()) };
    let expected = "JSON, or a file with it, such as {\"piqa\": [0, 4]}";
    let json = std::fs::read_to_string(given).unwrap_or_else(|_| given.clone());
    let mut samples: IndexMap<String, Vec<usize>> =
        serde_json::from_str(&json).map_err(|_| bad("samples", given, expected))?;
    let mut of_task = |task: &TaskConfig| Options { samples: samples.shift_remove(&task.task), ..options.clone() };
    let prepared = arguments.tasks.prepare(text, &mut of_task)?;
    match samples.keys().next() {
        Some(task) => Err(bad("samples", format!("of `{task}`"), "documents of tasks that `--tasks` names")),
        None => Ok(prepared),
    }
}

/// How the tasks are prepared, for a model that runs here.
///
/// # Errors
/// [`Error::BadOption`] for a limit that is no count and no share.
fn options(arguments: &Arguments, console: &Console) -> Result<Options, Error> {
    match arguments.limit {
        Some(limit) if !(limit > 0.0 && limit.is_finite()) => {
            Err(bad("limit", limit, "a count of documents, or a share above 0 and below 1"))
        }
        limit => Ok(Options {
            limit: limit.map(Limit::from_number),
            num_fewshot: arguments.num_fewshot,
            split: arguments.split.clone(),
            max_length: arguments.max_length,
            seed: arguments.seed,
            chat: arguments.chat.options(),
            system_instruction: arguments.chat.system_instruction.clone(),
            ..arguments.tasks.options(console)
        }),
    }
}

/// The runtime's budgets: all memory for layers, none for states.
///
/// # Errors
/// [`Error::BadOption`] for batches of nothing; what layer-ir says of an architecture that it does not know.
fn runtime_options(arguments: &Arguments, family: &Family) -> Result<RuntimeOptions, Error> {
    let window = family.base().config()?.max_position_embeddings;
    let batch_tokens = match arguments.batch_size {
        None => RuntimeOptions::default().batch_tokens,
        Some(0) => return Err(bad("batch-size", 0, "at least 1")),
        Some(sequences) => sequences.saturating_mul(window),
    };
    // A single model has no other to share states with.
    let bank_bytes = arguments.memory_mib.saturating_mul(1 << 20);
    Ok(RuntimeOptions {
        bank_bytes,
        state_bytes: 0,
        batch_tokens,
        dtype: arguments.dtype.into(),
        ..RuntimeOptions::default()
    })
}

/// Prints how each call of each task would be computed.
fn explain(tasks: &[PreparedTask], model: RecipeModel, console: &Console) -> Result<(), Error> {
    let mut explainer = Explainer::new(model);
    for task in tasks {
        let before = explainer.plans().len();
        task.evaluate(&mut explainer)?;
        for plan in &explainer.plans()[before..] {
            console.say(&format!("{}\n{plan}\n", task.name()))?;
        }
    }
    Ok(())
}

/// The results of the tasks, one after the other, with a bar while one waits.
fn evaluate(
    tasks: &[PreparedTask],
    model: &mut dyn LanguageModel,
    work: &Arc<dyn Fn() -> WorkDone + Send + Sync>,
    console: &Console,
) -> Result<Vec<TaskResult>, Error> {
    let meter = DocumentMeter::default();
    let bar = tasks_bar(console, tasks.len(), &meter);
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        let work = Arc::clone(work);
        meter.begin(task.name(), 0..task.len(), task.len(), move || work());
        results.push(task.evaluate(model)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(results)
}

/// The lines of the harness's samples, each with its task's name, as all tasks share a file.
fn write_samples(file: &Path, tasks: &[PreparedTask], results: &[TaskResult]) -> Result<(), Error> {
    let mut text = String::new();
    for (task, result) in tasks.iter().zip(results) {
        for mut line in task.samples(result)? {
            line["task"] = task.name().into();
            text.push_str(&line.to_string());
            text.push('\n');
        }
    }
    Ok(write_whole(file, &text)?)
}

/// The table of results, with a line for each group that was asked for.
fn summed(selection: &Selection, results: &[TaskResult]) -> String {
    let groups: Vec<GroupResult> = selection.groups.iter().map(|group| GroupResult::new(group, results)).collect();
    table(results, &groups)
}

/// The error of an option whose value means nothing.
fn bad(option: &'static str, found: impl std::fmt::Display, expected: &'static str) -> Error {
    Error::BadOption { option, found: found.to_string(), expected }
}
