//! Task files of lm-evaluation-harness: what each key says, and where tasks, groups and tags are found.
//!
//! ```text
//! folders ──TaskLibrary──► name ──yaml (include)──► keys ──groups──► keys and overrides ──parse──► TaskConfig
//! ```
//!
//! Every key of a file is read, ignored on purpose, or refused by its name: a slip in a key is an error, never a
//! default.

mod groups;
mod keys;
mod library;
mod names;
mod output_type;
mod parse;
mod parse_data;
mod parse_filters;
mod parse_metrics;
mod selection;
mod task;
mod yaml;

pub use library::TaskLibrary;
pub use output_type::OutputType;
pub use selection::{GroupConfig, GroupMetric, ScoredTask, Selection};
pub use task::{
    DataFormat, DataSource, FewshotConfig, FilterConfig, FilterPipeline, GenerationConfig, MetricConfig, Sampler,
    TaskConfig, ValueSource,
};
