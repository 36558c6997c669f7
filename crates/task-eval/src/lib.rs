//! What is a language model worth? The numbers of lm-evaluation-harness, without Python.
mod config;
mod error;
mod metrics;
mod model;
mod options;
mod prepared;
mod python;
mod result;
mod tokens;

pub use config::{
    DataSource, FewshotConfig, FilterConfig, FilterPipeline, GenerationConfig, GroupConfig, GroupMetric, MetricConfig,
    OutputType, Sampler, Selection, TaskConfig, TaskLibrary, ValueSource,
};
pub use error::Error;
pub use metrics::{Aggregation, ExactMatchOptions, MetricKind};
pub use model::{GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};
pub use options::{DEFAULT_BOOTSTRAP, DEFAULT_SEED, Limit, Options};
pub use prepared::PreparedTask;
pub use result::{DocumentResult, Metric, Response, TaskResult};
pub use tokens::{TokenPair, TokenText};
