//! The trials of a study as tasks: what is asked of who evaluates, and what comes of the results.

use std::time::Duration;

use layer_ir::ValidRecipe;
use zo_search::sharing::{Claim, Evaluation, Finished, MemoryQueue, Task, TaskQueue as _, TaskResult, WorkerInfo};
use zo_search::{Outcome, Trial};

use super::trials::failure_kind;
use super::{OpenSpace, Search};
use crate::Error;
use crate::evaluator::{DocumentSet, PieceValues, RecipeEvaluator};
use crate::scores::Reference;

/// The trials of a study, as tasks of its workers.
pub(super) struct Trials<'a> {
    pub search: &'a Search,
    pub space: &'a OpenSpace,
    pub evaluator: &'a RecipeEvaluator,
    pub reference: &'a Reference,
}

impl Trials<'_> {
    /// The recipe of a trial without bridges, which are the workers' business, and the documents that score it.
    fn recipe(&self, trial: &Trial) -> Result<(ValidRecipe, DocumentSet), Error> {
        let recipe = self.space.plain().decode(&trial.point)?;
        let set = DocumentSet::Search { rung: self.search.rung(trial) };
        Ok((recipe.validate(&self.search.family, self.search.registry())?, set))
    }

    /// The outcome: the objectives, what each document adds to the first one, and the tasks' scores beside them.
    fn scored(&self, trial: &Trial, results: &[TaskResult]) -> Result<Outcome, Error> {
        if let Some(failure) = results.iter().find_map(|result| result.as_ref().err()) {
            return Ok(Outcome::failed(failure.kind, failure.message.clone()));
        }
        let (recipe, set) = self.recipe(trial)?;
        let values = results.iter().flatten().map(|values| serde_json::from_value(values.clone()));
        let unknown = |source| Error::Job { task: format!("of trial {}", trial.id), source };
        let values: Vec<PieceValues> = values.collect::<Result<_, _>>().map_err(unknown)?;
        let scores = self.evaluator.combine(set, values.iter());
        let instances = self.evaluator.instances(&scores, self.reference, self.search.objective());
        Ok(self.search.outcome(&recipe, &scores, self.reference)?.at(trial.fidelity).with_instances(instances))
    }
}

impl Evaluation for Trials<'_> {
    fn tasks(&mut self, trial: &Trial, attempt: usize) -> Result<Vec<Task>, Box<Outcome>> {
        let (recipe, set) = self.recipe(trial).map_err(|error| Box::new(failed(&error)))?;
        Ok(self.evaluator.tasks_of(recipe.recipe(), self.space.is_bridged(), set, attempt))
    }

    fn outcome(&mut self, trial: &Trial, results: &[TaskResult]) -> Outcome {
        self.scored(trial, results).unwrap_or_else(|error| failed(&error))
    }
}

/// The tasks of a search that evaluates in its own thread.
pub(super) struct Alone {
    queue: MemoryQueue,
    worker: WorkerInfo,
}

impl Alone {
    /// Those behind a queue that nobody else has.
    pub fn new(queue: MemoryQueue) -> Self {
        Self { queue, worker: WorkerInfo::here("", "") }
    }

    /// Does the next task.
    pub fn work(&mut self, evaluate: impl FnOnce(&Task) -> TaskResult) -> Result<(), zo_search::Error> {
        // Nobody else is there to take a task over.
        let lease = Duration::from_secs(1 << 30);
        let claimed = self.queue.exchange(&self.worker, &[], 1, lease)?.claims.pop();
        let Some(Claim { task, attempt }) = claimed else { return Ok(()) };
        let result = evaluate(&task);
        self.queue.exchange(&self.worker, &[Finished { key: task.key, attempt, result }], 0, lease).map(drop)
    }
}

fn failed(error: &Error) -> Outcome {
    Outcome::failed(failure_kind(error), error.with_causes(": "))
}
