//! The row that this crate's tables are made of: of strategies, schedulers and storages.

use tailor_registry::{Entry, Parameter};

/// A thing of ours by its name: what its table says of it, and the functions `F` that the table's trait calls.
///
/// The tables implement their trait for a row, such as `SchedulerKind for Row<Wrap>`; a new thing is one more row.
#[derive(Clone, Copy)]
pub(crate) struct Row<F> {
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    pub(crate) functions: F,
}

impl<F> Row<F> {
    /// A row; `summary` is one sentence, `parameters` are in the order in which `--help` lists them.
    pub(crate) const fn new(
        name: &'static str,
        summary: &'static str,
        parameters: &'static [Parameter],
        functions: F,
    ) -> Self {
        Self { name, summary, parameters, functions }
    }
}

impl<F> Entry for Row<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn summary(&self) -> &str {
        self.summary
    }

    fn parameters(&self) -> &[Parameter] {
        self.parameters
    }
}
