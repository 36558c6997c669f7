//! The Python functions of the harness's tasks, written in Rust: what stands behind `!function`; and functions of other
//! projects' tasks that come with the crate.
//!
//! A function is found by the folder of its task file and its name, `utils.process_docs` in `hellaswag/`, or by the
//! name that new task files may write: `!native hellaswag.process_docs`. One task, one module; `table.rs` has a row for
//! each function. Every one says the same as the Python function of its name, slips included, as equal prompts need it.

mod columns;
mod copa;
mod function;
mod gsm_plus;
mod hellaswag;
mod humaneval;
mod logiqa;
mod mathqa;
mod opencompass;
mod race;
mod record;
mod samples;
mod table;
mod truthfulqa;
mod wikitext;
mod winogrande;
mod wsc;
mod wsc273;

pub use columns::ColumnProblem;
pub(crate) use columns::Columns;
pub use function::BuiltIn;
pub(crate) use function::FunctionKind;
