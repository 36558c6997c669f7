//! The trials: journal, evaluation, and those that are good enough to be confirmed.

use std::collections::HashSet;

use zo_search::{Evolution, Halving, Header, Optimizer, Outcome, RandomSearch, Study, Trial};

use super::{Event, Incumbent, Search};
use crate::confirm::Nominee;
use crate::judge::{Judge, Part};
use crate::results::{Parents, StudyFolder};
use crate::score::Reference;
use crate::study_file::Strategy;
use crate::{Error, RecipeSpace};

impl Search {
    pub(super) fn open_journal(
        &self,
        folder: &StudyFolder,
        space: &dyn RecipeSpace,
        parents: &Parents,
    ) -> Result<Study, Error> {
        let initial = self.initial(space, parents);
        let (settings, seed) = (&self.study.search, self.study.seed);
        let inner: Box<dyn Optimizer> = match (&self.optimizer, settings.strategy) {
            (Some(own), _) => own(space.space(), seed, initial)?,
            (None, Strategy::Evolution) => Box::new(Evolution::new(space.space().clone(), seed).with_initial(initial)),
            (None, Strategy::Random) => Box::new(RandomSearch::new(space.space().clone(), seed).with_initial(initial)),
        };
        let optimizer: Box<dyn Optimizer> = match settings.rungs.len() {
            1 => inner,
            _ => Box::new(Halving::new(inner, settings.eta, settings.rungs.clone())?),
        };
        let header = Header::new(&self.study.name, seed).with_environment(self.environment());
        Ok(Study::open(folder.file("journal.jsonl"), header, optimizer)?)
    }

    /// What a resumed study must share with the one that was started: the same models and tasks.
    fn environment(&self) -> serde_json::Value {
        serde_json::json!({ "models": self.study.models, "tasks": self.study.tasks })
    }

    /// Runs trials until the study has as many as it asks for; says how many it ran.
    pub(super) fn trials(
        &self,
        study: &mut Study,
        space: &dyn RecipeSpace,
        judge: &mut Judge,
        reference: &Reference,
        watch: &mut dyn FnMut(Event),
    ) -> Result<usize, Error> {
        let trials = self.study.search.trials;
        let finished = |study: &Study| study.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        let before = finished(study);
        watch(Event::Started { finished: before, trials });
        while finished(study) < trials {
            let trial = match study.ask() {
                Err(zo_search::Error::Exhausted { .. }) => break,
                asked => asked?,
            };
            let outcome = self.outcome(&trial, space, judge, reference)?;
            let objective = outcome.objective();
            study.tell(trial.id, outcome)?;
            let incumbent = study.incumbent().and_then(|best| {
                let outcome = best.outcome.as_ref()?;
                let retention = outcome.extra.get("retention").and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
                Some(Incumbent { trial: best.trial.id.0, objective: outcome.objective()?, retention })
            });
            watch(Event::Trial { id: trial.id.0, objective, incumbent });
        }
        Ok(finished(study) - before)
    }

    fn outcome(
        &self,
        trial: &Trial,
        space: &dyn RecipeSpace,
        judge: &mut Judge,
        reference: &Reference,
    ) -> Result<Outcome, Error> {
        let recipe = space.decode(&trial.point)?.validate(&self.family)?;
        let scores = judge.score(&recipe, Part::Search { rung: self.rung(trial.fidelity.fraction()) })?;
        let objective = reference.objective(&scores, self.study.search.objective);
        let tasks: serde_json::Map<String, serde_json::Value> =
            scores.iter().map(|score| (score.task.clone(), score.score.into())).collect();
        let extra = serde_json::json!({ "retention": reference.retention(&scores), "tasks": tasks });
        Ok(Outcome::score(objective).at(trial.fidelity).with_extra(extra))
    }

    /// The rung of a fidelity.
    fn rung(&self, fraction: f64) -> usize {
        let rungs = &self.study.search.rungs;
        rungs.iter().position(|rung| *rung >= fraction - 1e-9).unwrap_or(rungs.len() - 1)
    }

    /// The best distinct recipes of the trials on all search documents, and the best baseline.
    pub(super) fn candidates(
        &self,
        study: &Study,
        space: &dyn RecipeSpace,
        parents: &Parents,
    ) -> Result<Vec<Nominee>, Error> {
        let mut full: Vec<(f64, &Trial)> = study
            .trials()
            .iter()
            .filter(|record| record.trial.fidelity.fraction() >= 1.0)
            .filter_map(|record| Some((record.outcome.as_ref()?.objective()?, &record.trial)))
            .collect();
        full.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
        let mut seen = HashSet::new();
        let mut candidates = Vec::new();
        for (_, trial) in full {
            if candidates.len() >= self.study.search.confirm_candidates.max(1) {
                break;
            }
            let recipe = space.decode(&trial.point)?.validate(&self.family)?;
            if seen.insert(recipe.key()) {
                candidates.push(Nominee { name: format!("trial {}", trial.id.0), trial: Some(trial.id.0), recipe });
            }
        }
        if let Some(best) = parents.baselines.first() {
            let recipe = self.baseline_recipe(&best.baseline).validate(&self.family)?;
            if seen.insert(recipe.key()) {
                candidates.push(Nominee { name: best.baseline.label(), trial: None, recipe });
            }
        }
        Ok(candidates)
    }
}
