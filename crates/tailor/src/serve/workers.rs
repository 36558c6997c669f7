//! Who evaluates a study's trials.

use std::time::Duration;

/// A process that evaluates trials of a study, perhaps on another machine. All times are by the clock of the study's
/// store.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// What it is called in the study.
    pub name: String,
    /// The machine it runs on.
    pub host: String,
    /// Where it computes, such as `cuda:0`.
    pub device: String,
    /// How many trials it evaluates at once.
    pub slots: usize,
    /// What it works on, such as `trial 57, documents 100 to 200`; none while it waits.
    pub task: Option<String>,
    /// How long its lease lasts if it does not renew it, in seconds; negative: it ended so long ago. None while it holds
    /// none.
    pub lease: Option<f64>,
    /// How long ago it was last heard of.
    pub heartbeat: Duration,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It holds a lease and works.
    Working,
    /// It waits for a task.
    Idle,
    /// Its lease has ended: what it worked on is given to another one.
    Lost,
}

impl Worker {
    /// How it is, by its lease and its task.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        match (self.lease, &self.task) {
            (Some(left), _) if left <= 0.0 => WorkerState::Lost,
            (Some(_), Some(_)) => WorkerState::Working,
            _ => WorkerState::Idle,
        }
    }
}

impl WorkerState {
    /// The state in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Lost => "lost",
        }
    }
}
