//! A store in the memory of one process, whose threads are the workers.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::TaskQueue;
use super::task::{Claim, Exchange, Finished, HeldClaim, Task, TaskCounts, TaskResult, WorkerInfo, WorkerState};
use crate::Error;

/// The tasks of a study in the memory of one process. A clone is another connection to the same tasks.
///
/// ```
/// # use std::time::Duration;
/// # use zo_search::sharing::{Finished, MemoryQueue, Task, TaskQueue, WorkerInfo};
/// let (mut lead, worker, lease) = (MemoryQueue::new(), WorkerInfo::here("here", "cpu"), Duration::from_secs(60));
/// let mut workers = lead.clone();
/// lead.post(&[Task::new("square-3", serde_json::json!(3))])?;
/// let claim = workers.exchange(&worker, &[], 1, lease)?.claims.remove(0);
/// let result = Ok(serde_json::json!(claim.task.payload.as_u64().map(|x| x * x)));
/// workers.exchange(&worker, &[Finished { key: claim.task.key, attempt: claim.attempt, result }], 0, lease)?;
/// assert_eq!(lead.results(&["square-3"])?, [(0, Ok(serde_json::json!(9)))]);
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue {
    shared: Arc<(Mutex<Tasks>, Condvar)>,
    /// The changes when this connection looked last.
    seen: u64,
}

/// All tasks.
#[derive(Debug, Default)]
struct Tasks {
    /// In the order of posting.
    tasks: Vec<Entry>,
    places: HashMap<String, usize>,
    /// No task before this place waits or is claimed.
    first_open: usize,
    workers: Vec<Worker>,
    closed: bool,
    /// Counts what may interest somebody who waits.
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    task: Task,
    attempts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Claimed { worker: String, until: Instant },
    Done(TaskResult),
}

#[derive(Debug)]
struct Worker {
    info: WorkerInfo,
    seen: Instant,
    ended: bool,
}

impl MemoryQueue {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tasks. A thread that panicked in here left them whole: nothing of ours does in between two changes.
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tasks and wakes who waits.
    fn change<T>(&self, change: impl FnOnce(&mut Tasks) -> T) -> T {
        let mut tasks = self.tasks();
        tasks.changes += 1;
        let changed = change(&mut tasks);
        drop(tasks);
        self.shared.1.notify_all();
        changed
    }
}

impl TaskQueue for MemoryQueue {
    fn post(&mut self, tasks: &[Task]) -> Result<(), Error> {
        self.change(|all| tasks.iter().for_each(|task| all.post(task)));
        Ok(())
    }

    fn exchange(
        &mut self,
        worker: &WorkerInfo,
        finished: &[Finished],
        want: usize,
        lease: Duration,
    ) -> Result<Exchange, Error> {
        let exchange = |all: &mut Tasks| {
            let now = Instant::now();
            all.heard_of(worker, now);
            let refused = finished.iter().filter(|one| !all.finish(worker, one)).map(|one| one.key.clone()).collect();
            Exchange { refused, claims: all.claim(worker, want, now, lease), closed: all.closed }
        };
        let seen = |all: &mut Tasks| (exchange(all), all.changes);
        // Of a claim nobody else wants to know.
        let (answer, changes) = if finished.is_empty() { seen(&mut self.tasks()) } else { self.change(seen) };
        self.seen = changes;
        Ok(answer)
    }

    fn renew(&mut self, worker: &WorkerInfo, lease: Duration) -> Result<(), Error> {
        let (mut all, now) = (self.tasks(), Instant::now());
        all.heard_of(worker, now);
        all.claims_of(&worker.id).for_each(|(_, until)| *until = now + lease);
        Ok(())
    }

    fn leave(&mut self, worker: &WorkerInfo) -> Result<(), Error> {
        self.change(|all| {
            let first = all.first_open;
            for entry in &mut all.tasks[first..] {
                if matches!(&entry.state, State::Claimed { worker: own, .. } if *own == worker.id) {
                    entry.state = State::Waiting;
                }
            }
            all.workers.iter_mut().filter(|known| known.info.id == worker.id).for_each(|known| known.ended = true);
        });
        Ok(())
    }

    fn results(&mut self, keys: &[&str]) -> Result<Vec<(usize, TaskResult)>, Error> {
        let all = self.tasks();
        let result = |(place, key): (usize, &&str)| match &all.tasks[*all.places.get(*key)?].state {
            State::Done(result) => Some((place, result.clone())),
            _ => None,
        };
        let found = keys.iter().enumerate().filter_map(result).collect();
        let changes = all.changes;
        drop(all);
        self.seen = changes;
        Ok(found)
    }

    fn close(&mut self, closed: bool) -> Result<(), Error> {
        self.change(|all| all.closed = closed);
        Ok(())
    }

    fn wait(&mut self, most: Duration) -> Result<(), Error> {
        let waited = self.shared.1.wait_timeout_while(self.tasks(), most, |all| all.changes == self.seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn workers(&mut self) -> Result<Vec<WorkerState>, Error> {
        let (mut all, now) = (self.tasks(), Instant::now());
        let mut states: Vec<WorkerState> = Vec::new();
        for worker in &all.workers {
            let (info, silent) = (worker.info.clone(), now.saturating_duration_since(worker.seen));
            states.push(WorkerState { info, silent, claims: Vec::new(), ended: worker.ended });
        }
        for state in &mut states {
            let claims = all.claims_of(&state.info.id).map(|(entry, until)| HeldClaim {
                key: entry.0.to_owned(),
                attempt: entry.1,
                lease: until.checked_duration_since(now).filter(|left| !left.is_zero()),
            });
            state.claims = claims.collect();
        }
        Ok(states)
    }

    fn counts(&mut self) -> Result<TaskCounts, Error> {
        let (all, now, mut counts) = (self.tasks(), Instant::now(), TaskCounts::default());
        for entry in &all.tasks {
            match &entry.state {
                State::Done(_) => counts.done += 1,
                State::Claimed { until, .. } if *until > now => counts.claimed += 1,
                _ => counts.waiting += 1,
            }
        }
        Ok(counts)
    }
}

impl Tasks {
    fn post(&mut self, task: &Task) {
        if !self.places.contains_key(&task.key) {
            self.places.insert(task.key.clone(), self.tasks.len());
            self.tasks.push(Entry { task: task.clone(), attempts: 0, state: State::Waiting });
        }
    }

    fn heard_of(&mut self, worker: &WorkerInfo, now: Instant) {
        match self.workers.iter_mut().find(|known| known.info.id == worker.id) {
            Some(known) => (known.seen, known.ended) = (now, false),
            None => self.workers.push(Worker { info: worker.clone(), seen: now, ended: false }),
        }
    }

    /// The claims of a worker, by key and attempt, with the ends of their leases.
    fn claims_of<'a>(&'a mut self, id: &'a str) -> impl Iterator<Item = ((&'a str, u32), &'a mut Instant)> {
        self.tasks[self.first_open..].iter_mut().filter_map(move |entry| match &mut entry.state {
            State::Claimed { worker, until } if worker == id => {
                Some(((entry.task.key.as_str(), entry.attempts), until))
            }
            _ => None,
        })
    }

    /// Takes a result, unless the claim is another one by now.
    fn finish(&mut self, worker: &WorkerInfo, finished: &Finished) -> bool {
        let Some(place) = self.places.get(&finished.key) else { return false };
        let entry = &mut self.tasks[*place];
        if entry.attempts != finished.attempt {
            return false;
        }
        match &entry.state {
            State::Claimed { worker: own, .. } if *own == worker.id => {
                entry.state = State::Done(finished.result.clone());
                true
            }
            // Handed in once more.
            State::Done(result) => *result == finished.result,
            _ => false,
        }
    }

    fn claim(&mut self, worker: &WorkerInfo, want: usize, now: Instant, lease: Duration) -> Vec<Claim> {
        while matches!(self.tasks.get(self.first_open), Some(Entry { state: State::Done(_), .. })) {
            self.first_open += 1;
        }
        let free = |entry: &&mut Entry| match &entry.state {
            State::Waiting => true,
            State::Claimed { until, .. } => *until <= now,
            State::Done(_) => false,
        };
        let claim = |entry: &mut Entry| {
            entry.attempts += 1;
            entry.state = State::Claimed { worker: worker.id.clone(), until: now + lease };
            Claim { task: entry.task.clone(), attempt: entry.attempts }
        };
        self.tasks[self.first_open..].iter_mut().filter(free).take(want).map(claim).collect()
    }
}
