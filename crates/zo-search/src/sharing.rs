//! One study, many workers: whoever leads it asks ahead, in batches, and the trials' evaluation is cut into tasks that
//! workers claim under leases.
//!
//! A [`SharedStore`] is a place that many processes share: the memory of one, a folder, a database. It keeps the lines
//! of a study, whose one writer leads, and a [`TaskQueue`].

mod directory;
mod memory;
mod queue;
mod store;
mod task;

pub use directory::DirectoryStore;
pub use memory::MemoryQueue;
pub use queue::TaskQueue;
pub use store::SharedStore;
pub use task::{
    Claim, Exchange, Finished, HeldClaim, Task, TaskCounts, TaskResult, WorkerInfo, WorkerState, lost_workers,
};
