//! One study, many workers: whoever leads it asks ahead, in batches, and the trials' evaluation is cut into tasks that
//! workers claim under leases.
//!
//! A [`SharedStore`] is a place that many processes share: the memory of one, a folder, a database. It keeps the lines
//! of a study, whose one writer leads, and a [`TaskQueue`].

mod directory;
mod evaluation;
mod local;
mod memory;
mod patience;
pub mod postgres;
mod queue;
mod store;
mod task;
mod together;
mod worker;

pub use directory::DirectoryStore;
pub use evaluation::{Evaluation, WholeTrials, evaluated};
pub use local::LocalStore;
pub use memory::MemoryQueue;
pub use patience::Patience;
pub use postgres::PostgresStore;
pub use queue::TaskQueue;
pub use store::SharedStore;
pub use task::{
    Claim, Exchange, Finished, HeldClaim, Task, TaskCounts, TaskResult, WorkerInfo, WorkerState, lost_workers,
};
pub use together::SharedStudy;
pub use worker::{Work, Worker};

pub use crate::study::{Batches, End, Lead, Step, Told};
