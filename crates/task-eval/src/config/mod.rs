//! Task files of lm-evaluation-harness: what each key says, and where tasks, groups and tags are found.

mod keys;
mod library;
mod names;
mod parse;
mod parse_data;
mod parse_filters;
mod parse_metrics;
mod task;
mod yaml;

pub use library::{GroupConfig, GroupMetric, Selection, TaskLibrary};
pub use task::{
    DataFormat, DataSource, FewshotConfig, FilterConfig, FilterPipeline, GenerationConfig, MetricConfig, OutputType,
    Sampler, TaskConfig, ValueSource,
};
