//! The tables in which a task file's names are looked up.

use std::sync::{Arc, LazyLock};

use tailor_registry::Registry;

use crate::filters::{self, Filter};
use crate::metrics::{self, Aggregation, Metric};

/// The tables in which a task file's names are looked up: ours, and what a program registers.
///
/// ```
/// use task_eval::Components;
///
/// let components = Components::default();
/// assert!(components.metrics.get("acc").is_ok());
/// let error = components.filters.get("regexp").unwrap_err();
/// assert!(error.to_string().starts_with("no filter is named `regexp`; there are `regex`, "));
/// ```
#[derive(Debug)]
pub struct Components {
    /// What `metric_list` names. A multiple-choice task writes its metrics in the table's order.
    pub metrics: Registry<dyn Metric>,
    /// What a metric's `aggregation` names.
    pub aggregations: Registry<dyn Aggregation>,
    /// What `filter_list` names.
    pub filters: Registry<dyn Filter>,
}

impl Components {
    /// Ours alone, made once.
    pub(crate) fn standard() -> Arc<Self> {
        static STANDARD: LazyLock<Arc<Components>> = LazyLock::new(Arc::default);
        Arc::clone(&STANDARD)
    }

    /// The place of a metric in its table: the order in which metrics are written.
    pub(crate) fn rank(&self, metric: &str) -> Option<usize> {
        self.metrics.names().position(|name| name == metric)
    }
}

impl Default for Components {
    fn default() -> Self {
        Self { metrics: metrics::metrics(), aggregations: metrics::aggregations(), filters: filters::filters() }
    }
}

/// Tables are equal if they hold the same names.
impl PartialEq for Components {
    fn eq(&self, other: &Self) -> bool {
        self.metrics.names().eq(other.metrics.names())
            && self.aggregations.names().eq(other.aggregations.names())
            && self.filters.names().eq(other.filters.names())
    }
}
