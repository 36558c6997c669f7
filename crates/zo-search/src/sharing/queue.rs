//! The seam between who asks and who evaluates: tasks, claimed under leases.

use std::time::Duration;

use super::task::{Exchange, Finished, Task, TaskCounts, TaskResult, WorkerInfo, WorkerState};
use crate::Error;

/// The tasks of one study: a connection to a place that many processes share.
///
/// Whoever leads the study [posts](Self::post) tasks and [looks for their results](Self::results). Workers
/// [exchange](Self::exchange) results for further tasks, and [renew](Self::renew) their leases from a thread and a
/// connection of its own.
///
/// Laws, tried by [`testing::check_queue`](crate::testing::check_queue) on yours too:
/// 1. A task is there once, as it was posted first; tasks are claimed in the order in which they were posted.
/// 2. While a lease lasts, nobody else gets the task. When it has run out, the next one who asks may get it, with a
///    higher [attempt](super::Claim::attempt).
/// 3. A task has one result, for ever: that of a claim that nobody had taken over when it was handed in.
/// 4. Time is the store's, not that of a worker's clock.
/// 5. Whatever is cut off in the middle has happened, or has not; called again, it has the same effect as once.
///
/// Law 5 is why a worker may hand in a result again that it does not know to have arrived.
pub trait TaskQueue: Send {
    /// Adds tasks that are not there yet, behind those that are there.
    ///
    /// # Errors
    /// [`Error::Io`] when the store cannot be reached or written.
    fn post(&mut self, tasks: &[Task]) -> Result<(), Error>;

    /// Hands in results, then claims up to `want` tasks, each under a lease of the length `lease` from now.
    ///
    /// # Errors
    /// [`Error::Io`]. Call it again with the same results then.
    fn exchange(
        &mut self,
        worker: &WorkerInfo,
        finished: &[Finished],
        want: usize,
        lease: Duration,
    ) -> Result<Exchange, Error>;

    /// Says that a worker lives: what it has claimed and not handed in is its own for `lease` from now. A lease that
    /// has run out is renewed too, unless somebody else has claimed the task by then.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn renew(&mut self, worker: &WorkerInfo, lease: Duration) -> Result<(), Error>;

    /// Says that a worker ends. What it has claimed waits for others at once.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn leave(&mut self, worker: &WorkerInfo) -> Result<(), Error>;

    /// The results of those of the tasks that have one, by the places of their keys.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn results(&mut self, keys: &[&str]) -> Result<Vec<(usize, TaskResult)>, Error>;

    /// Says that there will be no more tasks (`true`), or that there will be after all. At first there will be.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn close(&mut self, closed: bool) -> Result<(), Error>;

    /// Waits until something may have changed since this connection's last [`exchange`](Self::exchange) or look for
    /// [`results`](Self::results): a task was posted, a result handed in, the queue closed. At most so long; it may
    /// come back sooner for no reason.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn wait(&mut self, most: Duration) -> Result<(), Error>;

    /// The workers that were ever there, in the order in which they came.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn workers(&mut self) -> Result<Vec<WorkerState>, Error>;

    /// How many tasks are in which state.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn counts(&mut self) -> Result<TaskCounts, Error>;
}
