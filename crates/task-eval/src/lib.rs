//! What is a language model worth? The numbers of lm-evaluation-harness, without Python.
//!
//! A [`TaskLibrary`] finds task files, a [`PreparedTask`] turns one into token requests (documents, shots, prompts,
//! tokens), a [`LanguageModel`] answers them, and a [`TaskResult`] holds the scores with their standard errors.
//! Preparing is done once; evaluating, also on some of the documents, as often as there are models.
//!
//! ```
//! use task_eval::{Options, PreparedTask, TaskLibrary, ModelTokenizer};
//! # use task_eval::{LanguageModel, ModelError, Score, ScoreRequest};
//! # struct Uniform;
//! # impl LanguageModel for Uniform {
//! #     fn max_length(&self) -> usize { 96 }
//! #     fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
//! #         let one = |r: &ScoreRequest| Score { log_likelihood: -6.0 * r.continuation.len() as f64, greedy: false };
//! #         Ok(requests.iter().map(one).collect())
//! #     }
//! # }
//! # let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
//! # let (tasks, model_dir, mut model) = (format!("{golden}/tasks"), format!("{golden}/models/bos"), Uniform);
//! let tokenizer = ModelTokenizer::load(model_dir)?;
//! for task in TaskLibrary::load(&[tasks.into()])?.task("g_mc_basic")? {
//!     let prepared = PreparedTask::new(&task, &tokenizer, &Options::default())?;
//!     let result = prepared.evaluate(&mut model)?;
//!     println!("{}", task_eval::table(&[result], &[]));
//! }
//! # Ok::<(), task_eval::Error>(())
//! ```
//!
//! A search that wants cheap objectives without labels compares distributions: a [`Teacher`] keeps what a better model
//! predicts on a [`Calibration`], and says how far another's predictions are from it; [`negative_log_likelihoods`]
//! says how surprising the texts are.
//!
//! Numbers equal the harness's (0.4.13, causal models of Hugging Face) for what is built; what is not built is refused
//! with its name. Both are listed in the crate's README.

mod builtins;
mod bundled;
mod code;
mod components;
mod config;
mod entry;
mod error;
mod options;
mod python;

mod data_files;
mod dataset;
mod template;

mod chat;
mod document;
mod fewshot;
mod hashes;
mod model_files;
mod preparation;
mod prompt;
mod requests;
mod stops;
mod tokenizer;

#[cfg(feature = "completions")]
mod completions;
mod model;
mod prepared;

mod filters;
mod metrics;
mod scoring;

mod group;
mod result;
mod results;
mod samples;
mod table;

mod objectives;

#[cfg(test)]
mod golden_units;

pub use builtins::{BuiltIn, ColumnProblem};
pub use code::CodeError;
#[cfg(feature = "completions")]
pub use completions::{CompletionsError, CompletionsModel, CompletionsOptions};
pub use components::Components;
pub use config::{
    DataFormat, DataSource, FewshotConfig, FilterConfig, FilterPipeline, GenerationConfig, GroupConfig, GroupMetric,
    MetricConfig, OutputType, Sampler, ScoredTask, Selection, TaskConfig, TaskLibrary, ValueSource,
};
pub use error::{DataError, Error, FilterError, MetricError, SetupError, TokenizerError};
pub use filters::{Filter, FilterStep};
pub use group::GroupResult;
pub use metrics::{
    Aggregation, Agreement, AnswerKind, Answers, ChoiceAnswers, Estimate, Metric, Observation, ObservationKind,
    Observer,
};
pub use model::{DoesNotGenerate, GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};
pub use objectives::{
    Calibration, CalibrationOptions, LogitsModel, ObjectiveError, Teacher, negative_log_likelihoods,
    negative_log_likelihoods_of, perplexity,
};
pub use options::{ChatOptions, CodeExecution, DEFAULT_BOOTSTRAP, DEFAULT_DATA_ROOT, DEFAULT_SEED, Limit, Options};
pub use prepared::PreparedTask;
pub use python::random::PythonRandom;
pub use result::{DocumentResult, MetricValue, Response, TaskResult};
pub use results::{RunInfo, to_harness_json};
pub use table::table;
pub use tailor_hub::Download;
pub use tokenizer::{ModelTokenizer, TokenPair};
