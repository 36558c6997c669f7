//! What one run changes about a task.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tailor_hub::Download;

/// lm-evaluation-harness's seed for few-shot draws.
pub const DEFAULT_SEED: u64 = 1234;
/// lm-evaluation-harness's number of bootstrap resamples.
pub const DEFAULT_BOOTSTRAP: usize = 100_000;
/// The folder with the data sets of the hub, below the one in which the program runs.
pub const DEFAULT_DATA_ROOT: &str = "data";

/// What one run changes about a task. The default changes nothing.
///
/// As serde data every field may be left out, so `{}` is the default.
///
/// ```
/// use task_eval::{Limit, Options};
///
/// let options = Options { num_fewshot: Some(5), limit: Some(Limit::Count(100)), ..Options::default() };
/// assert_eq!((options.seed, options.bootstrap_iterations), (1234, 100_000));
/// assert_eq!(serde_json::from_str::<Options>(r#"{"num_fewshot": 5, "limit": {"count": 100}}"#)?, options);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The number of shots, unless the task says exactly 0; the task's own, if None.
    pub num_fewshot: Option<usize>,
    /// Only the first documents of the split; all, if None.
    pub limit: Option<Limit>,
    /// Only these documents, by their places in the split, counted from 0; in the split's order, each once. In place
    /// of a limit.
    pub samples: Option<Vec<usize>>,
    /// The seed of the few-shot draws; [`DEFAULT_SEED`] by default.
    pub seed: u64,
    /// Another split to evaluate. Shots are drawn as the task says.
    pub split: Option<String>,
    /// Another window than the model's, in tokens; longer prompts lose their beginning.
    pub max_length: Option<usize>,
    /// Stands before the task's own description.
    pub system_instruction: Option<String>,
    /// Prompts as conversations in the model's own chat template (`--apply_chat_template` of the harness); plain text,
    /// if None.
    pub chat: Option<ChatOptions>,
    /// The folder with the data sets of the hub: `Rowan/hellaswag/default/validation.jsonl` and so on. They are looked
    /// for beside the task file and where the program runs as well.
    pub data_root: PathBuf,
    /// The hub's local cache, where data sets that are not in `data_root` are looked for. If None, where the hub's own
    /// tools keep it: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`.
    pub hub_cache: Option<PathBuf>,
    /// Where data sets that are nowhere here are downloaded from, into the hub's local cache; if None, they are an
    /// error. It needs the feature `download`: without it a download that is asked for is an error.
    ///
    /// Of the files of `main` those that are named as a split is come (`test-00000-of-00001.parquet`, in the folder of
    /// the data set's part); where there is none, what the hub itself has made of the data set
    /// (`refs/convert/parquet`). The next time nothing is asked.
    pub download: Option<Download>,
    /// Leave to run programs that the model wrote, for the tasks whose metrics do so (MBPP, HumanEval); if None, those
    /// tasks are refused.
    pub code_execution: Option<CodeExecution>,
    /// Resamples for the standard errors that have no formula; 0 leaves those errors out. [`DEFAULT_BOOTSTRAP`] by
    /// default.
    pub bootstrap_iterations: usize,
    /// Leaves the evaluated document out of its own shots in every case. The harness lets it in when shots come from
    /// the evaluated split under another name (its issue 4145), and equal numbers need that.
    pub never_show_the_answer: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            num_fewshot: None,
            limit: None,
            samples: None,
            seed: DEFAULT_SEED,
            split: None,
            max_length: None,
            system_instruction: None,
            chat: None,
            data_root: PathBuf::from(DEFAULT_DATA_ROOT),
            hub_cache: None,
            download: None,
            code_execution: None,
            bootstrap_iterations: DEFAULT_BOOTSTRAP,
            never_show_the_answer: false,
        }
    }
}

/// How prompts become conversations. The default is the harness's: the default template, and each shot a turn of its
/// own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatOptions {
    /// The template's name, where a model has several; `default`, if None. (The harness checks such a name, but writes
    /// its prompts with the default template all the same.)
    pub template: Option<String>,
    /// Whether shots and question are one message (`--fewshot_as_multiturn false`).
    pub single_turn: bool,
    /// What else the template sees (`chat_template_args`), such as `enable_thinking: false`.
    pub variables: Map<String, Value>,
}

/// Leave to run programs that a model wrote, and the sandbox that they run in.
///
/// A sandbox is tried before any model runs: one in which a program has a network or can write outside `/tmp` is
/// refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeExecution {
    /// A command that runs the Python script on its standard input in a container, its words apart by spaces:
    /// `docker run --rm -i --network none --read-only --tmpfs /tmp:size=64m --memory 1g --pids-limit 32 --cap-drop ALL
    /// --user 65534 python:3-slim timeout -s KILL 15 python3 -I -`. If None, bubblewrap (`bwrap`).
    pub sandbox: Option<String>,
}

/// How many documents of a split are evaluated: the first ones, of each task by itself.
///
/// ```
/// use task_eval::Limit;
///
/// assert_eq!(Limit::from_number(0.25).of(10), 3, "a share is rounded up");
/// assert_eq!(Limit::from_number(1.0).of(10), 1, "1 is a count, not a share");
/// assert_eq!(Limit::Count(100).of(10), 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many; all, where there are fewer.
    Count(usize),
    /// Such a share, from 0 to 1, rounded up.
    Fraction(f64),
}

impl Limit {
    /// The harness's reading of one number: below 1 a share, from 1 on a count.
    pub fn from_number(limit: f64) -> Self {
        // The cast cuts the fraction off, as Python's `int` does, and saturates.
        if limit < 1.0 { Self::Fraction(limit) } else { Self::Count(limit as usize) }
    }

    /// The number of documents out of `len`.
    pub fn of(self, len: usize) -> usize {
        match self {
            Self::Count(count) => count.min(len),
            Self::Fraction(share) => ((len as f64 * share).ceil().max(0.0) as usize).min(len),
        }
    }

    /// The number as the harness's command line takes it.
    pub fn as_number(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Fraction(share) => share,
        }
    }
}
