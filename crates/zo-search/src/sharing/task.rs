//! What is handed to workers, and what comes back.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, FailureKind};

/// Something to evaluate: a whole trial, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name in the study: letters, digits and `-`, `.`, `_`, `#`, at most 120 of them. A task of a key that is
    /// there already is the same task, so that what two trials have in common is evaluated once.
    pub key: String,
    /// All that a worker needs to know.
    pub payload: Value,
}

impl Task {
    /// A task.
    #[must_use]
    pub fn new(key: impl Into<String>, payload: Value) -> Self {
        Self { key: key.into(), payload }
    }
}

/// A worker's right to a task, as long as its lease lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The task.
    pub task: Task,
    /// How often the task was claimed, this time included: the fencing token. Whoever claims the task after a lease
    /// has run out has a higher one, and from then on nothing is taken from the holder of a lower one.
    pub attempt: u32,
}

/// What came out of a task: what the evaluation gave, or why it gave nothing.
pub type TaskResult = Result<Value, Failure>;

/// A result with the claim under which it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// [`Task::key`].
    pub key: String,
    /// [`Claim::attempt`].
    pub attempt: u32,
    /// What came out.
    pub result: TaskResult,
}

/// The answer of a queue to a worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchange {
    /// What the worker has claimed now.
    pub claims: Vec<Claim>,
    /// Keys of results that were not taken, because the lease had run out and the task is another worker's or done.
    pub refused: Vec<String>,
    /// Whether the study is finished: there will be no more tasks until somebody goes on with it.
    pub closed: bool,
}

/// Who evaluates: one row for each task that is evaluated at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its name, which no other worker of the study ever had: letters, digits and `-`, `.`, `_`, at most 100.
    pub id: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub process: u32,
    /// What it computes on, such as `cuda:0`; empty if that is not known.
    #[serde(default)]
    pub device: String,
    /// Seconds of its leases, each of which it renews several times; 0 if that is not known.
    #[serde(default)]
    pub lease: u64,
}

impl WorkerInfo {
    /// This process, under a name of its own. `host` is only shown.
    #[must_use]
    pub fn here(host: &str, device: impl Into<String>) -> Self {
        let process = std::process::id();
        let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(60).collect();
        let id = format!("{host}-{process}-{:08x}", rand::random::<u32>());
        Self { id, host, process, device: device.into(), lease: 0 }
    }
}

/// A worker as its queue sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerState {
    /// Who.
    pub info: WorkerInfo,
    /// How long nothing was heard of it, by the store's clock.
    pub silent: Duration,
    /// What it has claimed and not finished.
    pub claims: Vec<HeldClaim>,
    /// Whether it said that it has ended.
    pub ended: bool,
}

/// A claim that a worker has not finished.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldClaim {
    /// [`Task::key`].
    pub key: String,
    /// [`Claim::attempt`].
    pub attempt: u32,
    /// How long the lease lasts; none if it has run out.
    pub lease: Option<Duration>,
}

impl WorkerState {
    /// Whether it has ended without saying so: one of its leases has run out, or nothing was heard of it for as long.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let lease = Duration::from_secs(self.info.lease);
        let silent = !lease.is_zero() && self.silent > lease;
        !self.ended && (silent || self.claims.iter().any(|claim| claim.lease.is_none()))
    }
}

/// How many tasks of a queue are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Nobody has claimed them, or no longer.
    pub waiting: usize,
    /// Somebody has, and the lease lasts.
    pub claimed: usize,
    /// They have a result.
    pub done: usize,
}

/// Fails a task of which workers were lost again and again: most likely it ends them.
#[must_use]
pub fn lost_workers(attempts: u32) -> Failure {
    let message = format!("{attempts} workers were lost while they evaluated this");
    Failure { kind: FailureKind::Crash, message }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (attempt {})", self.task.key, self.attempt)
    }
}
