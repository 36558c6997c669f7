//! A study's trials as Optuna would have them.

use zo_search::History;
use zo_search::optuna::OptunaStudy;

use super::StudyFolder;
use crate::{Error, SearchSettings};

impl StudyFolder {
    /// All trials so far as Optuna would have them, with the names of the objectives: `search.objective`, and those of
    /// `search.objectives`, `tasks` being one for each task.
    ///
    /// # Errors
    /// As [`StudyFolder::history`] and [`StudyFolder::study_file`].
    pub fn optuna(&self) -> Result<OptunaStudy, Error> {
        let history = self.history()?;
        let names = objective_names(&self.study_file()?.search, &history);
        Ok(OptunaStudy::of(&history).with_objective_names(names))
    }
}

/// The names of the objectives. Of an objective of a user's own it is not known here how many numbers it gives: one,
/// it is assumed.
fn objective_names(search: &SearchSettings, history: &History) -> Vec<String> {
    let outcomes = history.trials().iter().filter_map(|record| record.outcome.as_ref());
    let has_lead = outcomes.clone().any(|outcome| outcome.lead.is_some());
    let mut tasks = outcomes.filter_map(|outcome| outcome.extra.get("tasks")?.as_object());
    let tasks: Vec<String> = tasks.next().map_or_else(Vec::new, |tasks| tasks.keys().cloned().collect());
    let further = search.objectives.iter().flat_map(|choice| match choice.name.as_str() {
        "tasks" => tasks.clone(),
        name => vec![name.to_owned()],
    });
    let objective = Some(format!("objective ({})", search.objective.name)).filter(|_| !has_lead);
    objective.into_iter().chain(further).collect()
}
