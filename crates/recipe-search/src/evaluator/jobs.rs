//! What is asked of the workers of a study: to score pieces of documents with recipes, to gather statistics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use layer_ir::{Recipe, ValidRecipe};
use serde::{Deserialize, Serialize};
use zo_search::sharing::{Task, TaskQueue, TaskResult};

use super::{DocumentSet, Piece, PieceValues, RecipeEvaluator};
use crate::Error;
use crate::space::without_bridges;

/// Who waits for results looks after this time at the latest.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker is to do, as it stands in a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// To score documents.
    Score(Box<ScoreJob>),
    /// To gather the statistics of the model of this name into the study's folder, for bridges.
    Gather(String),
}

/// Which documents of which recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScoreJob {
    /// Without bridges.
    pub recipe: Recipe,
    /// Whether it gets the bridges of the study.
    pub bridged: bool,
    /// The documents.
    pub piece: Piece,
    /// The models that teach the tasks, where a loss is the divergence from a teacher and they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<String>,
}

/// What stands in a task: a job, and what its outcome depends on, so that no result is taken for that of other models
/// or documents under the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Posted {
    /// The hash of the study's identity; empty where nobody else evaluates.
    pub identity: String,
    /// The job.
    pub job: Job,
}

impl Posted {
    /// The task that hands the job to a worker.
    fn task(&self, name: &str, attempt: usize) -> Task {
        // Recipes, names and numbers: there is nothing in it that JSON cannot write.
        let payload = serde_json::to_value(self).unwrap_or_default();
        let hash = blake3::hash(payload.to_string().as_bytes()).to_hex();
        let again = if attempt == 0 { String::new() } else { format!("#{attempt}") };
        Task::new(format!("{}.{name}{again}", &hash[..24]), payload)
    }
}

/// A recipe to be scored by workers.
pub(crate) struct Wanted<'a> {
    /// With its bridges.
    pub recipe: &'a ValidRecipe,
    /// Whether it was given the bridges of the study.
    pub bridged: bool,
}

/// The connection of an evaluator to the workers of its study.
pub(crate) struct Crew {
    queue: Box<dyn TaskQueue>,
    /// The hash of the study's identity.
    identity: String,
    /// Any of them is set when the process is to end.
    ends: Vec<Arc<AtomicBool>>,
    /// The models that teach the tasks; none while they are not known, or nothing is taught.
    teachers: Vec<String>,
}

impl Crew {
    /// The workers behind a queue, of the study with this identity. Nobody waits for them when one of `ends` is set.
    pub fn new(queue: Box<dyn TaskQueue>, identity: String, ends: Vec<Arc<AtomicBool>>) -> Self {
        Self { queue, identity, ends, teachers: Vec::new() }
    }

    /// What came out of these jobs, when all are done.
    ///
    /// # Errors
    /// What the queue says; [`Error::Ended`] when the process is to end.
    fn results(&mut self, tasks: &[Task]) -> Result<Vec<Option<TaskResult>>, Error> {
        self.queue.post(tasks)?;
        let mut results: Vec<Option<TaskResult>> = vec![None; tasks.len()];
        loop {
            let missing: Vec<usize> = (0..tasks.len()).filter(|place| results[*place].is_none()).collect();
            if missing.is_empty() {
                return Ok(results);
            }
            if self.ends.iter().any(|end| end.load(Ordering::Relaxed)) {
                return Err(Error::Ended);
            }
            let keys: Vec<&str> = missing.iter().map(|place| tasks[*place].key.as_str()).collect();
            let found = self.queue.results(&keys)?;
            if found.is_empty() {
                self.queue.wait(LOOK)?;
            }
            found.into_iter().for_each(|(place, result)| results[missing[place]] = Some(result));
        }
    }
}

impl RecipeEvaluator {
    /// From now on the workers of a study score what is [scored ahead](Self::score_ahead).
    pub(crate) fn with_crew(self, crew: Option<Crew>) -> Self {
        Self { crew, ..self }
    }

    /// Says who teaches the tasks, by the names of the models.
    pub(crate) fn name_teachers(&mut self, teachers: &[&str]) {
        let taught = self.has_teachers();
        if let Some(crew) = self.crew.as_mut().filter(|_| taught) {
            crew.teachers = teachers.iter().map(|name| (*name).to_owned()).collect();
        }
    }

    /// The tasks that make up the score of a recipe without bridges, `bridged` or not, on a set of documents.
    pub(crate) fn tasks_of(&self, recipe: &Recipe, bridged: bool, set: DocumentSet, attempt: usize) -> Vec<Task> {
        let crew = self.crew.as_ref();
        let (identity, teachers) = crew.map(|crew| (crew.identity.clone(), crew.teachers.clone())).unwrap_or_default();
        let task = |piece: Piece| {
            let job = ScoreJob { recipe: recipe.clone(), bridged, piece, teachers: teachers.clone() };
            let job = Job::Score(Box::new(job));
            Posted { identity: identity.clone(), job }.task(&piece.to_string(), attempt)
        };
        self.pieces(set).into_iter().map(task).collect()
    }

    /// Has recipes scored on a set of documents, all at the same time, by the workers of the study if it has some: then
    /// each [score](RecipeEvaluator::score) is known. What a worker could not score is left to whoever asks for it.
    ///
    /// # Errors
    /// What the store of the study says.
    pub(crate) fn score_ahead(&mut self, recipes: &[Wanted<'_>], set: DocumentSet) -> Result<(), Error> {
        if self.crew.is_none() {
            return Ok(());
        }
        let pieces = self.pieces(set);
        let tasks_of =
            |wanted: &Wanted<'_>| self.tasks_of(&without_bridges(wanted.recipe.recipe()), wanted.bridged, set, 0);
        let tasks: Vec<Task> = recipes.iter().flat_map(tasks_of).collect();
        let Some(crew) = &mut self.crew else { return Ok(()) };
        let results = crew.results(&tasks)?;
        let places = recipes.iter().flat_map(|wanted| pieces.iter().map(|piece| (wanted.recipe, *piece)));
        for ((recipe, piece), result) in places.zip(results) {
            if let Some(Ok(values)) = result
                && let Ok(values) = serde_json::from_value::<PieceValues>(values)
            {
                self.know(recipe, piece, values);
            }
        }
        Ok(())
    }

    /// Has the statistics of these models gathered, by the workers of the study if it has some.
    ///
    /// # Errors
    /// What the store of the study says.
    pub(crate) fn gather_ahead(&mut self, models: &[&str]) -> Result<(), Error> {
        let Some(crew) = &mut self.crew else { return Ok(()) };
        let task = |model: &&str| {
            let job = Job::Gather((*model).to_owned());
            Posted { identity: crew.identity.clone(), job }.task("statistics", 0)
        };
        let tasks: Vec<Task> = models.iter().map(task).collect();
        crew.results(&tasks).map(drop)
    }
}
