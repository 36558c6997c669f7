//! What a worker of a study does with a task: scores recipes, gathers statistics.

use std::path::PathBuf;

use zo_search::Failure;
use zo_search::sharing::{SharedStore, Task, TaskResult};

use super::parents::teach;
use super::trials::failure_kind;
use super::{OpenSpace, Ready, Search};
use crate::Error;
use crate::evaluator::{Job, Posted, RecipeEvaluator, ScoreJob};
use crate::results::StudyFolder;
use crate::space::RecipeBridges;
use crate::study::{Difference, Identity};

/// A worker of a study, on one device.
pub(super) struct RecipeWorker<'a> {
    search: &'a Search,
    ready: Ready,
    /// Opened when it is needed: then the statistics of its bridges are there, or are gathered.
    space: Option<OpenSpace>,
    /// Where the statistics are.
    folder: StudyFolder,
    /// Where it writes bridges, which are nobody else's.
    own: PathBuf,
}

impl<'a> RecipeWorker<'a> {
    /// A worker on these devices, or on those of the study. The study's statistics are in `folder`; `own` is a folder
    /// for itself, which it makes when it needs it.
    ///
    /// # Errors
    /// When the devices, the models or the tasks cannot be opened.
    pub fn new(search: &'a Search, device: Option<&str>, folder: &StudyFolder, own: PathBuf) -> Result<Self, Error> {
        Ok(Self { search, ready: search.prepare_on(device)?, space: None, folder: folder.clone(), own })
    }

    /// That whoever leads has the same models and documents; `theirs` is its [`Identity`] in the study's store.
    ///
    /// # Errors
    /// [`Error::OtherMachine`] when it has not; [`Error::Job`] for what no identity is.
    pub fn check_identity(&self, theirs: &[u8], store: &dyn SharedStore) -> Result<(), Error> {
        let unknown = |source| Error::Job { task: "identity.json".to_owned(), source };
        let theirs: Identity = serde_json::from_slice(theirs).map_err(unknown)?;
        match theirs.difference(&self.ready.identity) {
            None => Ok(()),
            Some(Difference { key, own, other }) => {
                Err(Error::OtherMachine { store: store.location(), key, there: own, here: other })
            }
        }
    }

    /// Does what a task says.
    ///
    /// # Errors
    /// Why it could not.
    pub fn evaluate(&mut self, task: &Task) -> TaskResult {
        done(self.do_job(task))
    }

    fn do_job(&mut self, task: &Task) -> Result<serde_json::Value, Error> {
        let Posted { identity, job } = posted(task)?;
        if identity != self.ready.identity.hash {
            let (task, found) = (task.key.clone(), self.ready.identity.hash.clone());
            return Err(Error::OtherIdentity { task, wanted: identity, found });
        }
        match job {
            Job::Score(job) => {
                let space = match self.space.take() {
                    Some(space) => space,
                    None => self.open()?,
                };
                let space = self.space.insert(space);
                teach(&self.search.family, &job.teachers, &mut self.ready.evaluator)?;
                self.search.score_job(&job, space, &mut self.ready.evaluator)
            }
            Job::Gather(model) => {
                if let Some(plan) = &self.ready.plan {
                    RecipeBridges::gather(plan, &self.ready.runtime, &self.folder.bridges()?, &model)?;
                }
                Ok(serde_json::Value::Null)
            }
        }
    }

    fn open(&self) -> Result<OpenSpace, Error> {
        let (plan, plain) = (self.ready.plan.as_ref(), self.search.space()?);
        OpenSpace::of(plain, plan, &self.ready.runtime, &self.folder, Some(&self.own), &mut |_| {})
    }
}

impl Drop for RecipeWorker<'_> {
    fn drop(&mut self) {
        // Its bridges can be made again.
        let _ = std::fs::remove_dir_all(&self.own);
    }
}

/// What a task says.
fn posted(task: &Task) -> Result<Posted, Error> {
    serde_json::from_value(task.payload.clone()).map_err(|source| Error::Job { task: task.key.clone(), source })
}

fn done(result: Result<serde_json::Value, Error>) -> TaskResult {
    result.map_err(|error| Failure { kind: failure_kind(&error), message: error.with_causes(": ") })
}

impl Search {
    /// Does what a task says in the thread of the search itself, which has the statistics already.
    pub(super) fn work_alone(&self, task: &Task, space: &OpenSpace, evaluator: &mut RecipeEvaluator) -> TaskResult {
        done(posted(task).and_then(|posted| match posted.job {
            Job::Score(job) => self.score_job(&job, space, evaluator),
            Job::Gather(_) => Ok(serde_json::Value::Null),
        }))
    }

    /// Scores the documents of a job.
    fn score_job(
        &self,
        job: &ScoreJob,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
    ) -> Result<serde_json::Value, Error> {
        let recipe = if job.bridged { space.bridged(job.recipe.clone())? } else { job.recipe.clone() };
        let values = evaluator.score_piece(&recipe.validate(&self.family, self.registry())?, job.piece)?;
        // Numbers: there is nothing in it that JSON cannot write.
        Ok(serde_json::to_value(values).unwrap_or_default())
    }
}
