//! The trials: journal, evaluation, and those that are good enough to be confirmed.

use std::collections::HashSet;

use layer_ir::Cost;
use zo_search::{
    CmaEs, EvoPress, Evolution, FailureKind, Halving, Header, History, Hyperband, MuLambda, Nsga2, Optimizer, Outcome,
    ParEgo, Point, Racing, RandomSearch, Smac, SobolSearch, StopReason, Study, Tpe, Trial,
};

use super::{Event, Incumbent, Search};
use crate::confirm::Nominee;
use crate::judge::{Judge, Part};
use crate::results::{Parents, StudyFolder};
use crate::score::Reference;
use crate::study_file::{FurtherObjective, Scheduler, SearchSettings, Strategy};
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
        let inner: Box<dyn Optimizer> = match &self.optimizer {
            Some(own) => own(space.space(), seed, initial)?,
            None => strategy(settings, space, seed, initial)?,
        };
        let optimizer = scheduled(settings, inner)?;
        let header = Header::new(&self.study.name, seed).with_environment(self.environment());
        Ok(Study::open(folder.journal_in(self.study.store), header, optimizer)?)
    }

    /// What another study found out, if this one is to begin with that.
    pub(super) fn known(&self) -> Result<Option<History>, Error> {
        self.study.warm_start.as_ref().map(|other| StudyFolder::new(other).history()).transpose()
    }

    /// Hands on what another study found out, as long as this one has no trials.
    pub(super) fn begin_with_known(&self, study: &mut Study, watch: &mut dyn FnMut(Event)) -> Result<(), Error> {
        if !study.trials().is_empty() {
            return Ok(());
        }
        if let Some(other) = self.known()? {
            let taken = study.warm_start(&other)?;
            watch(Event::WarmStart { taken, comparable: *other.header().environment() == self.environment() });
        }
        Ok(())
    }

    /// What a resumed study must share with the one that was started: the same models and tasks.
    fn environment(&self) -> serde_json::Value {
        serde_json::json!({ "models": self.study.models, "tasks": self.study.tasks })
    }

    /// Runs trials until the study has as many as it asks for, or is to stop before; says how many it ran.
    ///
    /// An evaluation that breaks down is tried once more, then that is the trial's outcome. After five in a row the search ends with
    /// the error.
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
        let stop = self.study.search.stop();
        loop {
            match study.stopped(&stop) {
                None => {}
                Some(StopReason::Trials(_)) => break,
                Some(reason) => {
                    watch(Event::Stopped(reason));
                    break;
                }
            }
            let trial = match study.ask() {
                Err(zo_search::Error::Exhausted { .. }) => break,
                asked => asked?,
            };
            let outcome = self
                .outcome(&trial, space, judge, reference)
                .unwrap_or_else(|error| Outcome::failed(FailureKind::Crash, error.with_causes(": ")));
            let (objective, failed) = (outcome.objective(), outcome.failure.clone());
            study.tell(trial.id, outcome)?;
            let again = study.history().pending().any(|record| record.trial.id == trial.id);
            if let Some(failed) = failed {
                watch(Event::Failed { id: trial.id.0, message: failed.message, again });
            }
            if again {
                continue;
            }
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
        let instances = judge.instances(&scores, reference, self.study.search.objective);
        let mut objectives = vec![objective];
        for further in &self.study.search.objectives {
            match further {
                FurtherObjective::Parameters => objectives.push(self.parameters_left(recipe.layers.len())),
                FurtherObjective::Tasks => {
                    objectives.extend(scores.iter().zip(&reference.best).map(|(score, best)| 1.0 - score.score / best));
                }
            }
        }
        Ok(Outcome::scores(objectives).at(trial.fidelity).with_instances(instances).with_extra(extra))
    }

    /// The share of the base's parameters that so many layers have.
    fn parameters_left(&self, layers: usize) -> f64 {
        let base = self.family.base();
        let parameters = |layers| Cost::of_checkpoint(base, layers, base.dtype()).parameters as f64;
        parameters(layers) / parameters(base.num_layers()).max(1.0)
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

/// The strategy that a study names.
fn strategy(
    settings: &SearchSettings,
    space: &dyn RecipeSpace,
    seed: u64,
    initial: Vec<Point>,
) -> Result<Box<dyn Optimizer>, Error> {
    let (dimensions, trials) = (space.space().clone(), settings.trials);
    Ok(match settings.strategy {
        Strategy::Tailor => Box::new(space.tailor_search(seed).with_trials(trials).with_initial(initial)),
        Strategy::Random => Box::new(RandomSearch::new(dimensions, seed).with_initial(initial)),
        Strategy::Sobol => Box::new(SobolSearch::new(dimensions, seed).with_initial(initial)),
        Strategy::Evolution => Box::new(Evolution::new(dimensions, seed).with_initial(initial)),
        Strategy::RegularisedEvolution => Box::new(Evolution::regularised(dimensions, seed).with_initial(initial)),
        Strategy::MuLambda => Box::new(MuLambda::new(dimensions, seed).with_initial(initial)),
        Strategy::EvoPress => Box::new(EvoPress::new(dimensions, seed)?.with_initial(initial)),
        Strategy::Tpe => Box::new(Tpe::new(dimensions, seed).with_initial(initial)),
        Strategy::Smac => Box::new(Smac::new(dimensions, seed).with_trials(trials).with_initial(initial)),
        Strategy::CmaEs => Box::new(CmaEs::new(dimensions, seed).with_initial(initial)),
        Strategy::Nsga2 => Box::new(Nsga2::new(dimensions, seed).with_initial(initial)),
        Strategy::ParEgo => Box::new(ParEgo::new(dimensions, seed).with_trials(trials).with_initial(initial)),
    })
}

/// The strategy under the scheduler that a study names.
fn scheduled(settings: &SearchSettings, inner: Box<dyn Optimizer>) -> Result<Box<dyn Optimizer>, Error> {
    let rungs = settings.rungs.clone();
    Ok(match settings.scheduler {
        _ if rungs.len() == 1 || settings.strategy == Strategy::EvoPress => inner,
        Scheduler::None => inner,
        Scheduler::Racing => Box::new(Racing::new(inner, settings.chance, rungs)?),
        Scheduler::Halving => Box::new(Halving::new(inner, settings.eta, rungs)?),
        Scheduler::Hyperband => Box::new(Hyperband::new(inner, settings.eta, rungs)?),
    })
}
