//! A function of a task, and what it is for.

use std::fmt;

use serde_json::Value;

use super::columns::{ColumnProblem, Columns};
use crate::metrics::Agreement;

/// A Python function of a task of lm-evaluation-harness (0.4.13), written in Rust.
///
/// It is a reference to a row of a fixed table: copying and comparing cost nothing. Two are equal if they have the same
/// name.
#[derive(Clone, Copy)]
pub struct BuiltIn(pub(super) &'static BuiltInRow);

/// A row of the table.
pub(crate) struct BuiltInRow {
    /// As `!native` names it: `task.function`.
    pub(super) name: &'static str,
    /// Where the harness has it.
    pub(super) module: &'static PythonModule,
    /// Its name there: `!function` says `module.function`.
    pub(super) function: &'static str,
    /// What it is for, and the function itself.
    pub(super) kind: FunctionKind,
}

/// A Python file of the harness beside a task file.
pub(crate) struct PythonModule {
    /// The folder of the task file.
    pub(super) folder: &'static str,
    /// The file's name without its ending.
    pub(super) name: &'static str,
    /// SHA-256, in lower-case hexadecimal, of the versions of the file that say the same: those of the harness 0.4.3 to
    /// 0.4.13.
    pub(super) sources: &'static [&'static str],
}

/// What a function is for, and the function.
#[derive(Clone, Copy)]
pub(crate) enum FunctionKind {
    /// `process_docs`, document by document: changes columns or adds them.
    Document(fn(&mut Columns) -> Result<(), ColumnProblem>),
    /// `process_docs`, of a whole split: leaves documents out, or puts them in another order.
    Split(fn(Vec<Columns>) -> Vec<Columns>),
    /// `fewshot_config.samples`: documents that are the same for everyone.
    Samples(fn() -> Vec<Columns>),
    /// `doc_to_text`, `doc_to_target`, `doc_to_choice`.
    Value(fn(&Columns) -> Result<Value, ColumnProblem>),
    /// `process_results` of a rolling log-likelihood: the text whose words and bytes are counted.
    CountedText(fn(&Columns) -> Result<String, ColumnProblem>),
    /// `process_results` of choices: which of them are right, and `acc` is their share of the probability.
    RightChoices(fn(&Columns) -> Result<Vec<bool>, ColumnProblem>),
    /// `process_results` of choices: how far each of them, if it is chosen, agrees with the right answers.
    Agreement(fn(&Columns) -> Result<Vec<Agreement>, ColumnProblem>),
    /// `filter_fn` of the filter `custom`: the program that an answer is, with the document's columns.
    Program(fn(&Columns, &str) -> Result<String, ColumnProblem>),
    /// `metric`: the name of a built-in one.
    Metric(&'static str),
    /// `aggregation` of a metric: the name of a built-in one.
    Aggregation(&'static str),
}

impl BuiltIn {
    /// The name that a task file may write: `!native hellaswag.process_docs`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The name of the Python module that the harness has it in, without its ending.
    pub(crate) fn module(self) -> &'static str {
        self.0.module.name
    }

    /// Whether a Python file with this SHA-256 says the same as this function.
    pub(crate) fn is_written_after(self, sha256: &str) -> bool {
        self.0.module.sources.contains(&sha256)
    }

    /// What it is for: a key of a task file takes some kinds and refuses the others.
    pub(crate) fn kind(self) -> FunctionKind {
        self.0.kind
    }
}

impl PartialEq for BuiltIn {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for BuiltIn {}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BuiltIn({})", self.0.name)
    }
}
