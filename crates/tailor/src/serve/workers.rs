//! Who evaluates a study's trials.

use std::sync::Arc;

use zo_search::sharing::{SharedStore, WorkerState};

/// What gives the workers of a study, those that have ended too.
pub(super) type Workers = Box<dyn FnMut() -> Result<Vec<WorkerState>, zo_search::Error> + Send>;

/// The workers that a shared store knows. It is connected once, and again after it could not be reached.
pub(super) fn workers_of(store: Arc<dyn SharedStore>) -> Workers {
    let mut connected = None;
    Box::new(move || {
        let mut queue = match connected.take() {
            Some(queue) => queue,
            None => store.queue()?,
        };
        let workers = queue.workers()?;
        connected = Some(queue);
        Ok(workers)
    })
}

/// The state of a worker in a word.
pub(super) fn state(worker: &WorkerState) -> &'static str {
    match worker {
        worker if worker.ended => "ended",
        worker if worker.is_lost() => "lost",
        worker if worker.claims.is_empty() => "idle",
        _ => "working",
    }
}
