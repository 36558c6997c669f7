//! What is a language model worth? The numbers of lm-evaluation-harness, without Python.
mod config;
mod dataset;
mod document;
mod error;
mod fewshot;
mod filters;
mod group;
mod methods;
mod metrics;
mod model;
mod options;
mod preparation;
mod prepared;
mod prompt;
mod python;
mod requests;
mod result;
mod results;
mod samples;
mod scoring;
mod stops;
mod table;
mod template;
mod tokens;
#[cfg(test)]
mod units;

pub use config::{
    DataSource, FewshotConfig, FilterConfig, FilterPipeline, GenerationConfig, GroupConfig, GroupMetric, MetricConfig,
    OutputType, Sampler, Selection, TaskConfig, TaskLibrary, ValueSource,
};
pub use error::Error;
pub use group::GroupResult;
pub use metrics::{Aggregation, ExactMatchOptions, MetricKind};
pub use model::{GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};
pub use options::{DEFAULT_BOOTSTRAP, DEFAULT_SEED, Limit, Options};
pub use prepared::PreparedTask;
pub use result::{DocumentResult, Metric, Response, TaskResult};
pub use results::{RunInfo, to_harness_json};
pub use table::table;
pub use tokens::{TokenPair, TokenText};
