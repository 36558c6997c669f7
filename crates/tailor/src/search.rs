//! Finds the best recipe: parents, baselines, trials, confirmation.

use std::sync::Arc;
use std::time::Instant;

use layer_ir::{Family, Recipe, ValidRecipe};
use layer_runtime::{Runtime, RuntimeOptions};
use merge_ops::Registry;
use task_eval::TokenText;
use zo_search::{Evolution, Halving, Header, Optimizer, Outcome, Point, RandomSearch, Space, Study, Trial};

use crate::baselines::{baselines_of, whole_model};
use crate::confirm::confirm;
use crate::judge::{Judge, Part, Split};
use crate::results::{Named, Parents, ScoredBaseline, SearchResult, StudyFolder, TimeSpent};
use crate::score::{Reference, Scores};
use crate::study_file::Strategy;
use crate::{Error, PruneSpace, RecipeSpace, StudyFile};

/// What a running search tells whoever watches it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A model of the family, or a baseline, is being scored.
    Scoring(String),
    /// The trials begin, some of which may be known from before.
    Started {
        /// Trials already finished.
        finished: usize,
        /// Trials in all.
        trials: usize,
    },
    /// A trial has finished.
    Trial {
        /// Its number.
        id: u64,
        /// Its objective; absent if it failed.
        objective: Option<f64>,
        /// The best objective on all search documents so far, and what it retains there.
        incumbent: Option<Incumbent>,
    },
    /// The best candidates are scored on unseen documents.
    Confirming(usize),
}

/// The best trial so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incumbent {
    /// Its number.
    pub trial: u64,
    /// Its objective.
    pub objective: f64,
}

/// Makes an optimiser over a space, from a seed and the points to begin with.
pub type OptimizerFactory = dyn Fn(&Space, u64, Vec<Point>) -> Result<Box<dyn Optimizer>, Error>;
type SpaceFactory = dyn Fn(&Family) -> Result<Box<dyn RecipeSpace>, Error>;

/// A search, ready to run: the study, its models, and what may be put in place of Tailor's own parts.
pub struct Search {
    study: StudyFile,
    family: Family,
    registry: Registry,
    optimizer: Option<Box<OptimizerFactory>>,
    space: Option<Box<SpaceFactory>>,
}

impl Search {
    /// Opens the models of a study.
    ///
    /// # Errors
    /// What [`StudyFile::open_family`] says.
    pub fn new(study: StudyFile) -> Result<Self, Error> {
        let family = study.open_family("study".as_ref())?;
        Ok(Self { study, family, registry: Registry::standard(), optimizer: None, space: None })
    }

    /// Searches with a strategy of your own.
    #[must_use]
    pub fn with_optimizer(
        mut self,
        optimizer: impl Fn(&Space, u64, Vec<Point>) -> Result<Box<dyn Optimizer>, Error> + 'static,
    ) -> Self {
        self.optimizer = Some(Box::new(optimizer));
        self
    }

    /// Searches in a space of your own.
    #[must_use]
    pub fn with_space(mut self, space: impl Fn(&Family) -> Result<Box<dyn RecipeSpace>, Error> + 'static) -> Self {
        self.space = Some(Box::new(space));
        self
    }

    /// Merges with methods of your own too.
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// The models of the study.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// The study.
    #[must_use]
    pub fn study(&self) -> &StudyFile {
        &self.study
    }

    /// The runtime that the study asks for.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn runtime(&self) -> Result<Arc<Runtime>, Error> {
        let settings = &self.study.runtime;
        let device = layer_runtime::open_device(&settings.device)?;
        let options = RuntimeOptions { bank_bytes: settings.bank_mib << 20, batch_tokens: settings.batch_tokens };
        Ok(Arc::new(Runtime::new(self.family.clone(), self.registry.clone(), device, options)))
    }

    /// The tokenizer of the base.
    ///
    /// # Errors
    /// When the base has none.
    pub fn text(&self) -> Result<TokenText, Error> {
        Ok(TokenText::load(self.family.base().dir())?)
    }

    /// Starts the study in a new folder and runs it to its end.
    ///
    /// # Errors
    /// [`Error::OutNotEmpty`]; whatever the models, tasks and the journal say. What was found until then stays in the folder.
    pub fn run(&self, folder: &StudyFolder, watch: &mut dyn FnMut(Event)) -> Result<SearchResult, Error> {
        folder.create()?;
        let text = toml::to_string_pretty(&self.study).map_err(|source| Error::StudyText(Box::new(source)))?;
        folder.write("study.toml", &text)?;
        self.go_on(folder, watch)
    }

    /// Goes on with a study that was started in `folder`, to its end. Trials that were cut off are run again.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn go_on(&self, folder: &StudyFolder, watch: &mut dyn FnMut(Event)) -> Result<SearchResult, Error> {
        let runtime = self.runtime()?;
        let mut judge = Judge::new(&self.study, &self.text()?, Arc::clone(&runtime), Split::Validation)?;
        let space: Box<dyn RecipeSpace> = match &self.space {
            Some(space) => space(&self.family)?,
            None => Box::new(PruneSpace::new(&self.family, &self.study.space)?),
        };
        let parents = self.parents(folder, &runtime, &mut judge, watch)?;
        let mut study = self.open_journal(folder, space.as_ref(), &parents)?;

        let known = runtime.timings();
        let start = Instant::now();
        self.trials(&mut study, space.as_ref(), &mut judge, &parents.reference, watch)?;
        let spent = runtime.timings() - known;
        let time = TimeSpent {
            trials: start.elapsed().as_secs_f64(),
            forward: spent.forward.as_secs_f64(),
            build: spent.build.as_secs_f64(),
        };

        let candidates = self.candidates(&study, space.as_ref(), &parents)?;
        watch(Event::Confirming(candidates.len()));
        let (confirmation, chosen) = confirm(candidates, &mut judge, &self.family, &parents.reference)?;
        let best = &confirmation[chosen];
        let trials = study.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        folder.write("best.yaml", &best.recipe)?;
        let result = SearchResult { trial: best.trial, confirmation, chosen, trials, time };
        folder.write_json("result.json", &result)?;
        Ok(result)
    }
}

impl Search {
    /// The parents and baselines on all search documents, from the folder if they were scored before.
    fn parents(
        &self,
        folder: &StudyFolder,
        runtime: &Arc<Runtime>,
        judge: &mut Judge,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Parents, Error> {
        if let Some(parents) = folder.read::<Parents>("parents.json")? {
            return Ok(parents);
        }
        let all = Part::Search { rung: judge.rungs() - 1 };
        let mut models = Vec::new();
        for name in self.family.names() {
            watch(Event::Scoring(name.to_string()));
            let recipe = whole_model(&self.family, name).validate(&self.family)?;
            models.push(Named { name: name.to_string(), scores: judge.score(&recipe, all)? });
        }
        let scores: Vec<&Scores> = models.iter().map(|model| &model.scores).collect();
        let weights: Vec<f64> = self.study.tasks.iter().map(|task| task.weight).collect();
        let reference = Reference::new(&scores, &weights)?;

        let calibration = judge.calibration(self.study.baselines.calibration);
        let mut baselines = Vec::new();
        for name in self.family.names() {
            watch(Event::Scoring(format!("baselines of {name}")));
            let settings = &self.study.baselines;
            let (remove, seed) = (self.study.space.remove, self.study.seed);
            for baseline in baselines_of(runtime, &self.family, name, remove, &calibration, settings, seed)? {
                let recipe = baseline.recipe(&whole_model(&self.family, name)).validate(&self.family)?;
                baselines.push(ScoredBaseline { scores: judge.score(&recipe, all)?, baseline });
            }
        }
        let kind = self.study.search.objective;
        let objective = |scored: &ScoredBaseline| reference.objective(&scored.scores, kind);
        baselines.sort_by(|a, b| objective(a).total_cmp(&objective(b)));
        let parents = Parents { models, baselines, reference };
        folder.write_json("parents.json", &parents)?;
        Ok(parents)
    }

    /// The points to begin with: the baselines, the best first, then the designs over their removals and the published ones.
    fn initial(&self, space: &dyn RecipeSpace, parents: &Parents) -> Vec<Point> {
        let mut removals: Vec<Vec<usize>> = Vec::new();
        for scored in &parents.baselines {
            if !removals.contains(&scored.baseline.removed) {
                removals.push(scored.baseline.removed.clone());
            }
        }
        removals.truncate(3);
        let baselines = parents.baselines.iter().map(|scored| self.baseline_recipe(scored));
        let designs = space.designs(&removals).into_iter().take(self.study.search.designs);
        // A recipe of somebody's own space may lie outside of it; then the search starts without it.
        baselines.chain(designs).filter_map(|recipe| space.encode(&recipe).ok()).collect()
    }

    fn baseline_recipe(&self, scored: &ScoredBaseline) -> Recipe {
        scored.baseline.recipe(&whole_model(&self.family, &scored.baseline.model))
    }

    fn open_journal(&self, folder: &StudyFolder, space: &dyn RecipeSpace, parents: &Parents) -> Result<Study, Error> {
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
        let path = folder.file("journal.jsonl");
        if path.exists() {
            return Ok(Study::resume(&path, optimizer)?);
        }
        let header = Header::new(&self.study.name, seed).with_environment(self.environment());
        Ok(Study::create(&path, header, optimizer)?)
    }

    /// What a resumed study must share with the one that was started: the same models and tasks.
    fn environment(&self) -> serde_json::Value {
        serde_json::json!({ "models": self.study.models, "tasks": self.study.tasks })
    }

    /// Runs trials until the study has as many as it asks for.
    fn trials(
        &self,
        study: &mut Study,
        space: &dyn RecipeSpace,
        judge: &mut Judge,
        reference: &Reference,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let trials = self.study.search.trials;
        let finished = |study: &Study| study.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        watch(Event::Started { finished: finished(study), trials });
        while finished(study) < trials {
            let trial = match study.ask() {
                Err(zo_search::Error::Exhausted { .. }) => break,
                asked => asked?,
            };
            let outcome = self.outcome(&trial, space, judge, reference)?;
            let objective = outcome.objective();
            study.tell(trial.id, outcome)?;
            let incumbent = study.incumbent().and_then(|best| {
                let objective = best.outcome.as_ref()?.objective()?;
                Some(Incumbent { trial: best.trial.id.0, objective })
            });
            watch(Event::Trial { id: trial.id.0, objective, incumbent });
        }
        Ok(())
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
    fn candidates(
        &self,
        study: &Study,
        space: &dyn RecipeSpace,
        parents: &Parents,
    ) -> Result<Vec<(String, Option<u64>, ValidRecipe)>, Error> {
        let mut full: Vec<(f64, &Trial)> = study
            .trials()
            .iter()
            .filter(|record| record.trial.fidelity.fraction() >= 1.0)
            .filter_map(|record| Some((record.outcome.as_ref()?.objective()?, &record.trial)))
            .collect();
        full.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
        let mut seen = std::collections::HashSet::new();
        let mut candidates = Vec::new();
        for (_, trial) in full {
            if candidates.len() >= self.study.search.confirm_candidates.max(1) {
                break;
            }
            let recipe = space.decode(&trial.point)?.validate(&self.family)?;
            if seen.insert(recipe.key()) {
                candidates.push((format!("trial {}", trial.id.0), Some(trial.id.0), recipe));
            }
        }
        if let Some(best) = parents.baselines.first() {
            let recipe = self.baseline_recipe(best).validate(&self.family)?;
            if seen.insert(recipe.key()) {
                candidates.push((best.baseline.label(), None, recipe));
            }
        }
        Ok(candidates)
    }
}
