//! The run history of SMAC (`runhistory.json`), in which auto-merge-llm keeps its trials: what another program found
//! out, for a study to begin with.
//!
//! Its configurations have the names and values of the reference's parameterisation, its costs are 1 - score for each
//! task, in the order of the tasks, and its budgets numbers of documents.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use zo_search::{Domain, Fidelity, Outcome, Point, Space, TrialId, Value};

use super::Search;
use crate::scores::{Reference, Scores, TaskScore};
use crate::{Error, RecipeSpace};

/// SMAC's status of a trial that has a result.
const SUCCESS: u64 = 1;

/// The trials of a run history that have a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunHistory {
    /// The file, for messages.
    path: PathBuf,
    trials: Vec<Run>,
}

/// A trial.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    /// Its place in the file.
    id: u64,
    /// The configuration by the names of its parameters.
    values: IndexMap<String, Json>,
    /// Documents of each task; all if absent.
    budget: Option<f64>,
    /// 1 - score of each task, or of the only one.
    costs: Vec<f64>,
}

/// The file, as SMAC 2 writes it.
#[derive(Deserialize)]
struct File {
    data: Vec<Entry>,
    configs: IndexMap<String, IndexMap<String, Json>>,
}

/// A trial: a list until SMAC 2.2, an object from 2.3 on.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Named { config_id: u64, budget: Option<f64>, cost: Costs, status: u64 },
    Listed(u64, IgnoredAny, IgnoredAny, Option<f64>, Costs, IgnoredAny, u64, IgnoredAny, IgnoredAny, IgnoredAny),
}

/// The cost of one objective or of several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Costs {
    One(f64),
    Several(Vec<f64>),
}

impl RunHistory {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::RunHistory`] for what is no run history.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let broken = |reason: String| Error::RunHistory { path: path.to_owned(), reason };
        let file: File = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let mut trials = Vec::new();
        for (id, entry) in (0..).zip(file.data) {
            let (config, budget, cost, status) = match entry {
                Entry::Named { config_id, budget, cost, status } => (config_id, budget, cost, status),
                Entry::Listed(config, _, _, budget, cost, _, status, ..) => (config, budget, cost, status),
            };
            let known = file.configs.get(&config.to_string());
            let values = known.ok_or_else(|| broken(format!("trial {id} has no configuration {config}")))?.clone();
            let costs = match cost {
                Costs::One(cost) => vec![cost],
                Costs::Several(costs) => costs,
            };
            if status == SUCCESS {
                trials.push(Run { id, values, budget, costs });
            }
        }
        Ok(Self { path: path.to_owned(), trials })
    }

    /// The numbers of the trials, their configurations, the fraction of the documents that each stands on, and the
    /// score of each of `tasks`. `rungs` are the study's, whose fractions a budget near one is taken for.
    ///
    /// # Errors
    /// [`Error::RunHistory`] when a trial has not one cost for each task.
    fn scored(&self, tasks: &[String], rungs: &[f64]) -> Result<Vec<ScoredRun<'_>>, Error> {
        let counted = rungs.last().copied().filter(|last| *last > 1.0);
        let most = self.trials.iter().filter_map(|run| run.budget).fold(0.0, f64::max);
        let most = counted.unwrap_or(most);
        let near = |fraction: f64| {
            let fractions = rungs.iter().map(|rung| rung / counted.unwrap_or(1.0));
            fractions.into_iter().find(|rung| (rung - fraction).abs() <= 0.01 * fraction).unwrap_or(fraction)
        };
        let mut scored = Vec::new();
        for Run { id, values, budget, costs } in &self.trials {
            if costs.len() != tasks.len() {
                let reason = format!("trial {id} has {} costs, and the study {} tasks", costs.len(), tasks.len());
                return Err(Error::RunHistory { path: self.path.clone(), reason });
            }
            let score = |(task, cost): (&String, &f64)| {
                let score = 1.0 - cost;
                TaskScore { score, ..TaskScore::of(task, vec![score as f32], &[f32::NAN]) }
            };
            let fraction = budget.filter(|_| most > 0.0).map_or(1.0, |budget| near((budget / most).min(1.0)));
            let scores = tasks.iter().zip(costs).map(score).collect();
            scored.push(ScoredRun { id: TrialId(*id), values, fidelity: Fidelity::new(fraction)?, scores });
        }
        Ok(scored)
    }
}

/// A trial with its scores.
struct ScoredRun<'a> {
    id: TrialId,
    values: &'a IndexMap<String, Json>,
    fidelity: Fidelity,
    scores: Scores,
}

impl Search {
    /// The trials of a run history as outcomes of this study: its points are those of the study's space, or of the same
    /// space in the reference's parameterisation; its objectives follow from the scores and from what the parents
    /// reach. A trial that is no point of the space comes with an empty one.
    ///
    /// # Errors
    /// [`Error::RunHistory`] when a trial has not one cost for each task, or when the study's objective reads more than
    /// scores.
    pub(super) fn known_runs(
        &self,
        runs: &RunHistory,
        space: &dyn RecipeSpace,
        reference: &Reference,
        tasks: &[String],
    ) -> Result<Vec<(TrialId, Point, Outcome)>, Error> {
        let theirs = self.reference_space();
        let point = |values: &IndexMap<String, Json>| {
            let own = point_of(space.space(), values).and_then(|point| space.space().canonical(&point).ok());
            own.or_else(|| {
                let theirs = theirs.as_deref()?;
                let point = theirs.space().canonical(&point_of(theirs.space(), values)?).ok()?;
                space.encode(&theirs.decode(&point).ok()?).ok()
            })
        };
        let mut outcomes = Vec::new();
        for run in runs.scored(tasks, &self.study.search.rungs)? {
            let Some(point) = point(run.values) else {
                outcomes.push((run.id, Point::new(), Outcome::default()));
                continue;
            };
            let recipe = space.decode(&point)?.validate(self.family(), self.registry())?;
            let outcome = self.outcome(&recipe, &run.scores, reference)?;
            if outcome.result().is_none() {
                let reason = "its costs are scores, and `search.objective` reads more of a document".to_owned();
                return Err(Error::RunHistory { path: runs.path.clone(), reason });
            }
            outcomes.push((run.id, point, outcome.at(run.fidelity)));
        }
        Ok(outcomes)
    }

    /// The study's space in the reference's parameterisation; none for a kind that has none.
    fn reference_space(&self) -> Option<Box<dyn RecipeSpace>> {
        let mut choice = self.study.space.choice();
        choice.parameters.insert("parameterisation".to_owned(), "reference".into());
        if choice.parameters.contains_key("ends") {
            choice.parameters.insert("ends".to_owned(), "follow".into());
        }
        let (kind, settings) = self.tables().spaces.choose_shared(&choice).ok()?;
        kind.open(self.family(), &settings).ok()
    }
}

/// The point of these values: numbers, or numbers as texts. None where a value is of no dimension.
fn point_of(space: &Space, values: &IndexMap<String, Json>) -> Option<Point> {
    let mut point = Point::new();
    for (name, value) in values {
        let dimension = space.dimensions().iter().find(|dimension| dimension.name == *name)?;
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = match &dimension.domain {
            Domain::Float { .. } => Value::Float(text().parse().ok()?),
            Domain::Int { .. } => Value::Int(text().parse().ok()?),
            Domain::Categorical { .. } => Value::Categorical(text()),
            _ => return None,
        };
        point = point.with(name, value);
    }
    Some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SMAC 2.2.0 and, with names, later ones write; the second trial broke down.
    const LISTED: &str = r#"{"stats": {"submitted": 2, "finished": 2, "running": 0},
        "data": [[1, null, 0, 111.11111111111111, [0.4, 0.75], 3.5, 1, 0.0, 3.5, {}],
                 [1, null, 0, 1000.0, [1.0, 1.0], 3.5, 2, 0.0, 3.5, {}]],
        "configs": {"1": {"x": 0.5, "layer": "1"}}, "config_origins": {"1": "Initial"}}"#;
    const NAMED: &str = r#"{"data": [{"config_id": 1, "instance": null, "seed": 0, "budget": null, "cost": 0.25,
        "time": 1.0, "cpu_time": 1.0, "status": 1, "starttime": 0.0, "endtime": 1.0, "additional_info": {}}],
        "configs": {"1": {"x": 1}}}"#;

    fn read(text: &str) -> Result<RunHistory, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("runhistory.json");
        std::fs::write(&path, text)?;
        Ok(RunHistory::read(&path)?)
    }

    #[test]
    fn both_forms_are_read_with_their_budgets() -> Result<(), Box<dyn std::error::Error>> {
        let two = ["mmlu".to_owned(), "wsc".to_owned()];
        let listed = read(LISTED)?;
        let runs = listed.scored(&two, &[111.0, 333.0, 1000.0])?;
        assert_eq!((runs.len(), runs[0].fidelity), (1, Fidelity::new(0.111)?));
        assert_eq!(runs[0].scores.iter().map(|score| score.score).collect::<Vec<_>>(), [0.6, 0.25]);
        let complaint = listed.scored(&two[..1], &[1.0]).err().map_or_else(String::new, |error| error.to_string());
        assert!(complaint.contains("trial 0 has 2 costs, and the study 1 tasks"), "{complaint}");
        let named = read(NAMED)?;
        assert_eq!(named.scored(&two[..1], &[0.25, 1.0])?[0].fidelity, Fidelity::FULL);
        assert!(read("{}").is_err() && read(&NAMED.replace("\"1\": {", "\"2\": {")).is_err());
        Ok(())
    }

    #[test]
    fn values_are_those_of_their_dimensions() -> Result<(), Box<dyn std::error::Error>> {
        let space = Space::new().float("x", 0.0..=1.0).categorical("layer", ["0", "1"]).int("remove", 0..=9).build()?;
        let values = |text: &str| serde_json::from_str::<IndexMap<String, Json>>(text);
        let point = point_of(&space, &values(r#"{"x": 1, "layer": 1, "remove": "7"}"#)?);
        let expected = Point::new().with_float("x", 1.0).with_categorical("layer", "1").with_int("remove", 7);
        assert_eq!(point, Some(expected));
        assert_eq!(point_of(&space, &values(r#"{"y": 1}"#)?), None);
        assert_eq!(point_of(&space, &values(r#"{"remove": 0.5}"#)?), None);
        Ok(())
    }
}
