//! The trials: journal, evaluation, and those that are good enough to be confirmed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use layer_ir::ValidRecipe;
use zo_search::sharing::{End, Lead, MemoryQueue, Told};
use zo_search::{FailureKind, Header, History, Outcome, StopReason, StrategySetup, Study, Trial, WarmStart};

use super::finalists::{Finalist, distinct};
use super::run_history::RunHistory;
use super::trial_tasks::{Alone, Trials};
use super::{Event, Incumbent, OpenSpace, Search, Workplace};
use crate::confirm::Nominee;
use crate::evaluator::RecipeEvaluator;
use crate::objectives::ScoredRecipe;
use crate::results::{Parents, StudyFolder};
use crate::scores::{Reference, Scores};
use crate::study::{Difference, Identity};
use crate::{Error, RecipeSpace};

/// Who waits for workers looks after this time at the latest.
const LOOK: Duration = Duration::from_secs(1);

/// What a study begins with.
pub(super) enum OtherStudy {
    /// The history of another study.
    Study(Box<History>),
    /// The trials of a search by SMAC.
    Runs(RunHistory),
}

impl Search {
    /// Whether trials were asked in the folder.
    ///
    /// # Errors
    /// [`Error::ChangedStudy`] when they are not of this study as it is `now`.
    pub(super) fn has_begun(&self, folder: &StudyFolder, now: &Identity) -> Result<bool, Error> {
        let stores = &self.tables().stores;
        let Some(lines) = folder.lines_in(stores)? else { return Ok(false) };
        let (journal, history) = (PathBuf::from(lines.location()), zo_search::Study::read(lines)?);
        match identity_of(&journal, &history)?.difference(now) {
            Some(Difference { key, own, other }) => Err(Error::ChangedStudy { journal, key, before: own, now: other }),
            None => Ok(!history.trials().is_empty()),
        }
    }

    /// Opens the journal in the folder, or begins it, and brings the strategy to where the journal ends.
    pub(super) fn open_journal(
        &self,
        folder: &StudyFolder,
        identity: &Identity,
        space: &OpenSpace,
        parents: &Parents,
    ) -> Result<Study, Error> {
        let (study, rows) = (&self.study, self.study.rows());
        let setup = StrategySetup::new(space.plain().space().clone(), study.seed)
            .with_trials(study.search.trials)
            .with_initial(self.initial(space.plain(), parents))
            .with_structure(space.plain().structure());
        let (strategy, settings) = &rows.strategy;
        let mut optimizer = strategy.build(setup, settings)?;
        if study.is_scheduled() {
            let (scheduler, settings) = &rows.scheduler;
            optimizer = scheduler.wrap(optimizer, &study.search.rung_fractions(), settings)?;
        }
        let header = Header::new(&study.name, study.seed).with_environment(serde_json::json!(identity));
        Ok(Study::open(rows.store.lines(folder, &study.name), header, optimizer)?)
    }

    /// What this study is to begin with, if it is to begin with something. `space` is that of the study without
    /// bridges.
    ///
    /// # Errors
    /// [`Error::OtherMeaning`] when the outcomes of another study mean something else here; what its journal says;
    /// [`Error::RunHistory`].
    pub(super) fn other_study(
        &self,
        identity: &Identity,
        space: &dyn RecipeSpace,
    ) -> Result<Option<OtherStudy>, Error> {
        let Some(other) = &self.study.warm_start else { return Ok(None) };
        if other.is_file() {
            return Ok(Some(OtherStudy::Runs(RunHistory::read(other)?)));
        }
        let other = StudyFolder::new(other);
        let stores = &self.tables().stores;
        let history = other.history_in(stores)?;
        let lines = other.lines_in(stores)?;
        let journal = lines.map_or_else(|| other.path().to_path_buf(), |lines| lines.location().into());
        let theirs = identity_of(&journal, &history)?;
        let difference = match theirs.difference_of_meaning(identity).or_else(|| theirs.difference_of_bridges(identity))
        {
            None if !self.points_mean_the_same(&other, &history, space)? => theirs.difference_of_space(identity),
            difference => difference,
        };
        match difference {
            Some(Difference { key, own, other }) => Err(Error::OtherMeaning { journal, key, theirs: own, ours: other }),
            None => Ok(Some(OtherStudy::Study(Box::new(history)))),
        }
    }

    /// Begins with what another study or program found out. `tasks` are the names of the tasks.
    ///
    /// # Errors
    /// What the journal says; [`Error::RunHistory`].
    pub(super) fn begin_with(
        &self,
        other: &OtherStudy,
        study: &mut Study,
        space: &dyn RecipeSpace,
        reference: &Reference,
        tasks: &[String],
    ) -> Result<WarmStart, Error> {
        match other {
            OtherStudy::Study(history) => Ok(study.warm_start(history)?),
            OtherStudy::Runs(runs) => {
                let known = self.known_runs(runs, space, reference, tasks)?;
                let known = known.iter().map(|(id, point, outcome)| (*id, point, outcome.clone()));
                Ok(study.warm_start_from("runhistory.json", known)?)
            }
        }
    }

    /// Whether the points of another study, as far as they are points here, stand for the same recipes, bridges apart.
    fn points_mean_the_same(
        &self,
        other: &StudyFolder,
        history: &History,
        space: &dyn RecipeSpace,
    ) -> Result<bool, Error> {
        let study = other.study_file()?.check_with(Arc::clone(self.tables()))?;
        let theirs = study.space_over(&self.family)?;
        let trials = history.trials().iter().map(|record| &record.trial.point);
        for point in trials.chain(history.injected().iter().map(|known| &known.point)) {
            if let Ok(here) = space.space().canonical(point)
                && space.decode(&here)?.key(self.registry()) != theirs.decode(point)?.key(self.registry())
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs trials until the study has as many as it asks for, or is to stop before; says how many it ran. Workers
    /// evaluate them if `workers` has their tasks, otherwise this thread.
    ///
    /// A point that stands for no model is an invalid trial. An evaluation that breaks down is tried once more, then
    /// that is the trial's outcome; after five in a row the search ends with the error.
    pub(super) fn trials(
        &self,
        study: &mut Study,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
        reference: &Reference,
        workers: Option<Workplace<'_>>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<usize, Error> {
        let (trials, stop) = (self.study.search.trials, self.study.search.stop());
        let before = study.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        watch(Event::Started { finished: before, trials });
        let own = MemoryQueue::new();
        let queue = match workers {
            Some(Workplace { store, .. }) => store.queue()?,
            None => Box::new(own.clone()),
        };
        let mut alone = Alone::new(own);
        let (batches, mut told) = (self.study.search.batches(workers.is_some()), 0);
        let mut lead = Lead::new(study, queue, batches, &mut Trials { search: self, space, evaluator, reference })?;
        loop {
            let step = lead.step(&stop, &mut Trials { search: self, space, evaluator, reference })?;
            for one in step.told {
                told += usize::from(!one.again);
                show(one, lead.study(), watch);
            }
            match step.end {
                Some(End::Exhausted) => watch(Event::Exhausted { trials: lead.study().trials().len() }),
                Some(End::Stopped(StopReason::Trials(_))) => {}
                Some(End::Stopped(reason)) => watch(Event::Stopped(reason)),
                None if workers.is_some_and(Workplace::is_left) => return Err(Error::Ended),
                None if workers.is_some() => {
                    lead.wait(LOOK)?;
                    continue;
                }
                None => {
                    alone.work(|task| self.work_alone(task, space, evaluator))?;
                    continue;
                }
            }
            return Ok(told);
        }
    }

    /// What a recipe's scores come to.
    pub(super) fn outcome(
        &self,
        recipe: &ValidRecipe,
        scores: &Scores,
        reference: &Reference,
    ) -> Result<Outcome, Error> {
        let tasks: serde_json::Map<String, serde_json::Value> =
            scores.iter().map(|score| (score.task.clone(), score.score.into())).collect();
        let extra = serde_json::json!({ "retention": reference.retention(scores), "tasks": tasks });
        let (lead, mut objectives) = (self.objective().value(scores, reference), Vec::new());
        let scored = ScoredRecipe { recipe, family: &self.family, scores, reference };
        for (further, settings) in &self.study.rows().further_objectives {
            let values = further.values(&scored, settings);
            objectives.extend(values.map_err(Error::choice(&self.study.file, "search.objectives"))?);
        }
        let mut further = self.study.rows().further_objectives.iter();
        let outcome = if further.any(|(further, _)| further.stand_for_the_objective()) {
            Outcome::scores(objectives).with_lead(lead)
        } else {
            objectives.insert(0, lead);
            Outcome::scores(objectives)
        };
        Ok(outcome.with_extra(extra))
    }

    /// The rung of a trial: that of the scheduler, without one the last. A strategy with fidelities of its own knows
    /// nothing of the study's rungs: its trial gets the first that has as many documents as it asks for.
    pub(super) fn rung(&self, trial: &Trial) -> usize {
        let rungs = self.study.search.rung_fractions();
        let last = rungs.len() - 1;
        if self.study.rows().strategy.0.has_own_fidelities() {
            let fraction = trial.fidelity.fraction();
            rungs.iter().position(|rung| *rung >= fraction - 1e-9).unwrap_or(last)
        } else {
            trial.rung.map_or(last, |rung| rung.0)
        }
    }

    /// The best recipes of the trials on all search documents, few of them near-copies, and the best baseline, under
    /// its own name where a trial is the same recipe, and at that trial's rank.
    pub(super) fn candidates(
        &self,
        study: &Study,
        space: &OpenSpace,
        parents: &Parents,
    ) -> Result<Vec<Nominee>, Error> {
        let mut full: Vec<(f64, &Trial, &Outcome)> = study
            .trials()
            .iter()
            .filter(|record| record.trial.fidelity.fraction() >= 1.0)
            .filter_map(|record| Some((record.outcome.as_ref()?.objective()?, &record.trial, record.outcome.as_ref()?)))
            .collect();
        full.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
        let baseline = parents.baselines.first().map(|best| &best.baseline);
        let baseline_key = match baseline {
            Some(baseline) => Some(self.baseline_recipe(baseline).validate(&self.family, self.registry())?.key()),
            None => None,
        };
        let (mut seen, mut trials, mut finalists, mut rank_of_baseline) =
            (HashSet::new(), Vec::new(), Vec::new(), None);
        for (_, trial, outcome) in full {
            let recipe = space.plain().decode(&trial.point)?;
            let key = recipe.clone().validate(&self.family, self.registry())?.key();
            if Some(&key) == baseline_key.as_ref() {
                rank_of_baseline.get_or_insert(finalists.len());
            } else if seen.insert(key) {
                trials.push(trial);
                finalists.push(Finalist { outcome, recipe });
            }
        }
        let places = distinct(&finalists, self.study.search.confirm_candidates.max(1));
        let mut candidates = Vec::new();
        for place in &places {
            let trial = trials[*place];
            let recipe = space.space().decode(&trial.point)?.validate(&self.family, self.registry())?;
            let (name, bridged) = (format!("trial {}", trial.id.0), space.is_bridged());
            candidates.push(Nominee { name, trial: Some(trial.id.0), recipe, bridged });
        }
        if let Some(baseline) = baseline {
            let recipe = self.bridged_baseline(space, baseline)?.validate(&self.family, self.registry())?;
            let ahead = |place: &&usize| rank_of_baseline.is_none_or(|rank| **place < rank);
            let at = places.iter().filter(ahead).count();
            let (name, bridged) = (baseline.label.clone(), space.is_bridged());
            candidates.insert(at, Nominee { name, trial: None, recipe, bridged });
        }
        Ok(candidates)
    }
}

/// Tells whoever watches what was told.
fn show(told: Told, study: &Study, watch: &mut dyn FnMut(Event)) {
    let (id, objective) = (told.id.0, told.outcome.objective());
    if let Some(failure) = told.outcome.failure {
        watch(Event::Failed { id, message: failure.message, again: told.again });
    }
    if told.again {
        return;
    }
    let incumbent = study.incumbent().and_then(|best| {
        let outcome = best.outcome.as_ref()?;
        let retention = outcome.extra.get("retention").and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
        Some(Incumbent { trial: best.trial.id.0, objective: outcome.objective()?, retention })
    });
    watch(Event::Trial { id, objective, incumbent });
}

/// A recipe that cannot be built is an invalid point and never tried again; anything else may have been the machine's
/// fault.
pub(super) fn failure_kind(error: &Error) -> FailureKind {
    let invalid = matches!(error, Error::ZoSearch(_) | Error::NotInSpace { .. }) || error.is_of_the_recipe();
    if invalid { FailureKind::Invalid } else { FailureKind::Crash }
}

/// What the outcomes in a journal depend on.
fn identity_of(journal: &Path, history: &History) -> Result<Identity, Error> {
    serde_json::from_value(history.header().environment().clone())
        .map_err(|source| Error::UnknownIdentity { journal: journal.to_path_buf(), source })
}
