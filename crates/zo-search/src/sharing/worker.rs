//! A worker: claims, evaluates, hands in, and keeps its lease from a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::TaskQueue;
use super::patience::Patience;
use super::store::SharedStore;
use super::task::{Claim, Exchange, Finished, Task, TaskResult, WorkerInfo, lost_workers};
use crate::Error;

/// A task of which so many workers were lost has failed.
const LOST: u32 = 3;
/// An idle worker looks again after this time at the latest.
const IDLE: Duration = Duration::from_secs(1);

/// A worker of a study: evaluates one task after the other until the study is finished.
#[derive(Debug, Clone)]
pub struct Worker {
    info: WorkerInfo,
    lease: Duration,
    patience: Duration,
    /// Whether it ends when the study is finished.
    ends: bool,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// How many results were taken.
    pub finished: usize,
    /// How many were not, as the lease had run out.
    pub refused: usize,
    /// How long it evaluated.
    pub busy: Duration,
    /// How long it waited for tasks.
    pub idle: Duration,
}

impl Worker {
    /// A worker with leases of 60 seconds, renewed every 15, that waits for 10 minutes for a store that cannot be
    /// reached.
    #[must_use]
    pub fn new(info: WorkerInfo) -> Self {
        let worker = Self { info, lease: Duration::ZERO, patience: Duration::from_secs(600), ends: true };
        worker.with_lease(Duration::from_secs(60))
    }

    /// With another lease: a task of a lost worker waits so long until another one takes it over.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        let info = WorkerInfo { lease: lease.as_secs().max(1), ..self.info };
        Self { info, lease, ..self }
    }

    /// With another time after which a store that cannot be reached is an error.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// One that does not end with the study, which may go on, but works until it is stopped.
    #[must_use]
    pub fn until_stopped(self) -> Self {
        Self { ends: false, ..self }
    }

    /// Who it is.
    #[must_use]
    pub fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// Works until the study is finished, or `stop` is set; then it finishes what it evaluates.
    ///
    /// # Errors
    /// What the store says, [`Error::Io`] only when it could not be reached for all of the worker's patience.
    pub fn run(
        &self,
        store: &dyn SharedStore,
        stop: &AtomicBool,
        mut evaluate: impl FnMut(&Task) -> TaskResult,
    ) -> Result<Work, Error> {
        let (ended, end) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || self.renew(store, &end));
            let worked = self.work(store, stop, &mut evaluate);
            drop(ended);
            worked
        })
    }

    /// Renews the leases until the channel is closed.
    fn renew(&self, store: &dyn SharedStore, end: &Receiver<()>) {
        let mut queue = None;
        while end.recv_timeout(self.lease / 4) == Err(RecvTimeoutError::Timeout) {
            // A store that cannot be reached is the other thread's to report; here it is tried again.
            let connection = match queue.take() {
                Some(connection) => Ok(connection),
                None => store.queue(),
            };
            queue = connection.and_then(|mut queue| queue.renew(&self.info, self.lease).map(|()| queue)).ok();
        }
    }

    fn work(
        &self,
        store: &dyn SharedStore,
        stop: &AtomicBool,
        evaluate: &mut dyn FnMut(&Task) -> TaskResult,
    ) -> Result<Work, Error> {
        let (mut work, mut connection) = (Work::default(), Connection { store, queue: None, patience: self.patience });
        let (mut finished, mut since) = (Vec::new(), Instant::now());
        loop {
            let want = usize::from(!stop.load(Ordering::Relaxed));
            let Exchange { claims, refused, closed } =
                connection.patiently(|queue| queue.exchange(&self.info, &finished, want, self.lease))?;
            work.refused += refused.len();
            work.finished += finished.len() - refused.len();
            finished.clear();
            let Some(claim) = claims.into_iter().next() else {
                if closed && self.ends || want == 0 {
                    connection.patiently(|queue| queue.leave(&self.info))?;
                    return Ok(work);
                }
                connection.patiently(|queue| queue.wait(IDLE))?;
                continue;
            };
            work.idle += since.elapsed();
            let start = Instant::now();
            finished.push(result_of(claim, evaluate));
            since = Instant::now();
            work.busy += since - start;
        }
    }
}

/// Evaluates a task, unless that has ended too many workers.
fn result_of(claim: Claim, evaluate: &mut dyn FnMut(&Task) -> TaskResult) -> Finished {
    let Claim { task, attempt } = claim;
    let result = if attempt > LOST { Err(lost_workers(attempt - 1)) } else { evaluate(&task) };
    Finished { key: task.key, attempt, result }
}

/// A connection that is made anew when it breaks.
struct Connection<'a> {
    store: &'a dyn SharedStore,
    queue: Option<Box<dyn TaskQueue>>,
    patience: Duration,
}

impl Connection<'_> {
    /// Does something, again and again while the store cannot be reached.
    fn patiently<T>(&mut self, mut act: impl FnMut(&mut dyn TaskQueue) -> Result<T, Error>) -> Result<T, Error> {
        let (mut patience, mut pause) = (Patience::new(self.patience), Duration::from_millis(50));
        loop {
            match self.once(&mut act) {
                Ok(done) => return Ok(done),
                Err(error) => patience.bear(error)?,
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_secs(5));
        }
    }

    fn once<T>(&mut self, act: &mut dyn FnMut(&mut dyn TaskQueue) -> Result<T, Error>) -> Result<T, Error> {
        let mut queue = match self.queue.take() {
            Some(queue) => queue,
            None => self.store.queue()?,
        };
        let done = act(&mut *queue)?;
        // One that gave an error is not used again.
        self.queue = Some(queue);
        Ok(done)
    }
}
