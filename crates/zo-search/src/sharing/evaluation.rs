//! What the trials of a study are to the workers: tasks.

use super::task::{Task, TaskResult};
use crate::{Failure, FailureKind, Outcome, Trial};

/// Cuts the evaluation of trials into tasks, and makes outcomes of their results.
///
/// Whoever leads a study after another one was lost finds the results of the same tasks by their keys; so the tasks
/// depend on the trial and the attempt alone.
pub trait Evaluation {
    /// The tasks of an attempt at a trial, counted from 0; or the outcome, where it is known without any. The tasks
    /// of another attempt must have other keys, as those of this one keep the results that they have.
    ///
    /// # Errors
    /// The outcome.
    fn tasks(&mut self, trial: &Trial, attempt: usize) -> Result<Vec<Task>, Box<Outcome>>;

    /// The outcome of a trial whose tasks all have results, these in the order of the tasks.
    fn outcome(&mut self, trial: &Trial, results: &[TaskResult]) -> Outcome;
}

/// Each trial is one task, and its result the outcome: [`evaluated`] makes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct WholeTrials;

impl Evaluation for WholeTrials {
    fn tasks(&mut self, trial: &Trial, attempt: usize) -> Result<Vec<Task>, Box<Outcome>> {
        let again = if attempt == 0 { String::new() } else { format!("#{attempt}") };
        // A trial is plain data with text as keys.
        let payload = serde_json::to_value(trial).unwrap_or_default();
        Ok(vec![Task::new(format!("trial-{}{again}", trial.id), payload)])
    }

    fn outcome(&mut self, _: &Trial, results: &[TaskResult]) -> Outcome {
        match results.first() {
            Some(Ok(outcome)) => serde_json::from_value(outcome.clone()).unwrap_or_else(|error| unreadable(&error)),
            Some(Err(failure)) => Outcome::failed(failure.kind, failure.message.clone()),
            None => Outcome::failed(FailureKind::Crash, "no result"),
        }
    }
}

/// What a worker does with a task of [`WholeTrials`]: evaluates the trial in it.
///
/// # Errors
/// A failure of the kind [`FailureKind::Crash`] when the task is none of those.
pub fn evaluated(task: &Task, objective: impl FnOnce(&Trial) -> Outcome) -> TaskResult {
    let crash = |error: serde_json::Error| Failure { kind: FailureKind::Crash, message: error.to_string() };
    let trial: Trial = serde_json::from_value(task.payload.clone()).map_err(crash)?;
    serde_json::to_value(objective(&trial)).map_err(crash)
}

fn unreadable(error: &serde_json::Error) -> Outcome {
    Outcome::failed(FailureKind::Crash, format!("a worker gave what is no outcome: {error}"))
}
