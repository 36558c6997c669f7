//! Finds the best recipe: parents, baselines, trials, confirmation.

mod finalists;
mod front;
mod opened;
mod parents;
mod run_history;
mod sequential;
mod shared;
mod trial_tasks;
mod trials;
mod worker;

pub(crate) use opened::OpenSpace;
pub(crate) use parents::{reference_of, score_models};
use shared::Workplace;
pub use shared::{WorkSettings, Worked, study_in_store};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use layer_ir::{Family, Recipe};
use layer_runtime::{Runtime, RuntimeOptions};
use merge_ops::Registry;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use task_eval::ModelTokenizer;
use zo_search::{StopReason, WarmStart};

use crate::baselines::whole_model;
use crate::bridges::SequentialSettings;
use crate::confirm::{confirmed, score_all};
use crate::evaluator::{DocumentMeter, EvaluatorSettings, RecipeEvaluator, Split};
use crate::objectives::{DocumentLoss, Objective};
use crate::results::{FinishedSearch, Retained, SearchResult, StudyFolder, TimeSpent};
use crate::space::BridgePlan;
use crate::study::Identity;
use sequential::Refitter;

use trials::OtherStudy;

use crate::{BridgeMethod, Error, RecipeSpace, Study, StudyFile, Tables, token_text};

/// What a running search tells whoever watches it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A model is being scored, or the baselines of one are being made and scored.
    Scoring(String),
    /// The statistics of a model, from which bridges are fitted, are gathered or read.
    Gathering(String),
    /// The trials begin, some of which may be known from before.
    Started {
        /// Trials already finished.
        finished: usize,
        /// Trials in all.
        trials: usize,
    },
    /// The study begins with what another one found out.
    WarmStart(WarmStart),
    /// An evaluation broke down.
    Failed {
        /// The trial.
        id: u64,
        /// What went wrong.
        message: String,
        /// Whether it is tried once more.
        again: bool,
    },
    /// The search ends before its trials are done.
    Stopped(StopReason),
    /// The search ends before its trials are done: the space has no point that was not tried.
    Exhausted {
        /// How many trials there were.
        trials: usize,
    },
    /// A trial has finished.
    Trial {
        /// Its number.
        id: u64,
        /// Its objective; absent if it failed.
        objective: Option<f64>,
        /// The best trial on all search documents so far.
        incumbent: Option<Incumbent>,
    },
    /// The best candidates are scored on unseen documents.
    Confirming(usize),
    /// The candidate of this name is refitted layer by layer.
    Refitting(String),
}

/// The best trial so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incumbent {
    /// Its number.
    pub trial: u64,
    /// Its objective.
    pub objective: f64,
    /// What it retains of the best parents, on the search documents.
    pub retention: f64,
}

/// A search, ready to run: the study and its models.
pub struct Search {
    study: Study,
    /// Its models.
    family: Family,
    meter: DocumentMeter,
    /// Set when the process is to end.
    stop: Arc<AtomicBool>,
}

impl Search {
    /// Opens the models of a study.
    ///
    /// # Errors
    /// What [`Study::open_family`] says.
    pub fn new(study: Study) -> Result<Self, Error> {
        let family = study.open_family()?;
        Ok(Self { study, family, meter: DocumentMeter::default(), stop: Arc::default() })
    }

    /// With a flag that is set when the process is to end: where several workers share the study, this one's finish what
    /// they evaluate, and [`Search::run`] and [`Search::resume`] end with [`Error::Ended`].
    #[must_use]
    pub fn with_stop(self, stop: Arc<AtomicBool>) -> Self {
        Self { stop, ..self }
    }

    /// The models of the study.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// The study.
    #[must_use]
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// What shows, while the search scores a model, how far that is with the documents of a task.
    #[must_use]
    pub fn meter(&self) -> &DocumentMeter {
        &self.meter
    }

    /// The methods that merge.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.tables().merge_methods
    }

    /// The tables of what the study can name.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        self.study.tables()
    }

    /// What the study makes small, with the parameters that the study gives it.
    #[must_use]
    pub fn objective(&self) -> &dyn Objective {
        &*self.study.rows().objective
    }

    /// An evaluator of the study's documents: of the search's, with what the objective reads, or of the whole test
    /// split.
    ///
    /// # Errors
    /// As [`RecipeEvaluator::new`], [`Search::text`] and [`Search::runtime`].
    pub fn evaluator(&self, split: Split) -> Result<RecipeEvaluator, Error> {
        self.evaluator_on(split, &self.text()?, self.runtime()?)
    }

    /// The same with another tokenizer or runtime.
    pub(crate) fn evaluator_on(
        &self,
        split: Split,
        text: &ModelTokenizer,
        runtime: Runtime,
    ) -> Result<RecipeEvaluator, Error> {
        let loss = match split {
            Split::Validation => self.objective().loss(),
            Split::Test => DocumentLoss::Unread,
        };
        let settings = EvaluatorSettings::of_study(&self.study, split, loss);
        Ok(RecipeEvaluator::new(&settings, text, runtime)?.with_meter(self.meter.clone()))
    }

    /// The runtime that the study asks for.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn runtime(&self) -> Result<Runtime, Error> {
        self.runtime_on(None)
    }

    /// The same on other devices than the study's.
    fn runtime_on(&self, device: Option<&str>) -> Result<Runtime, Error> {
        let mut study = (*self.study).clone();
        study.runtime.device = device.map_or(study.runtime.device, str::to_owned);
        runtime(&study, self.family.clone(), self.registry().clone(), false)
    }

    /// The same, but giving the same numbers for any number of threads: [`RuntimeOptions::reproducible`].
    ///
    /// # Errors
    /// As of [`Search::runtime`].
    pub fn reproducible_runtime(&self) -> Result<Runtime, Error> {
        runtime(&self.study, self.family.clone(), self.registry().clone(), true)
    }

    /// The tokenizer that all models of the search share: that of the base, or of the study's vocabulary.
    ///
    /// # Errors
    /// When there is none.
    pub fn text(&self) -> Result<ModelTokenizer, Error> {
        let base = whole_model(&self.family, StudyFile::BASE).validate(&self.family, &())?;
        Ok(self.study.evaluation.bos.of(token_text(&self.family, &base)?))
    }

    /// The space that is searched, without the bridges of its recipes, which are the study's folder's:
    /// [`Search::space_in`] has them. Its points are the same ones.
    ///
    /// # Errors
    /// What the space says of the family.
    pub fn space(&self) -> Result<Box<dyn RecipeSpace>, Error> {
        self.study.space_over(&self.family)
    }

    /// How a trial would be computed, by the example of a random point: the plan for each task, a rung after the
    /// other. Without bridges, which change the work by nothing.
    ///
    /// # Errors
    /// As of [`Search::run`], but for its folder.
    pub fn explain(&self) -> Result<String, Error> {
        let Ready { runtime, evaluator, space, .. } = self.prepare()?;
        let point = space.space().sample(&mut ChaCha8Rng::seed_from_u64(self.study.seed))?;
        let recipe = space.decode(&point)?.validate(&self.family, self.registry())?;
        let options = runtime.options();
        let mib = |bytes: usize| bytes >> 20;
        let mut text = format!(
            "{}: {} MiB for layers, {} MiB for states, {:?}\n",
            self.study.runtime.device,
            mib(options.bank_bytes),
            mib(options.state_bytes),
            options.dtype
        );
        for (task, plans) in evaluator.explain(&recipe)? {
            for (rung, plan) in plans.iter().enumerate() {
                text.push_str(&format!("\n{task}, piece {} of {}\n{plan}\n", rung + 1, plans.len()));
            }
        }
        Ok(text)
    }

    /// Starts the study in a new folder and runs it to its result. Nothing is written before models and tasks are
    /// known to be usable.
    ///
    /// # Errors
    /// [`Error::OutNotEmpty`]; [`Error::OtherMeaning`] when the outcomes that the study is to begin with mean something
    /// else; whatever the models, tasks and the journal say. What was found until then stays in the folder.
    pub fn run(&self, folder: &StudyFolder, watch: &mut dyn FnMut(Event)) -> Result<FinishedSearch, Error> {
        folder.check_free()?;
        let ready = self.prepare()?;
        let other = self.other_study(&ready.identity, &*ready.space)?;
        let text = self.study.to_toml()?;
        folder.create()?;
        folder.write("study.toml", &text)?;
        self.go_on(folder, ready, other, watch)
    }

    /// Goes on with a study that was started in `folder`, to its result. Trials that were cut off are run again; a
    /// study that had come to its result goes on if it asks for more trials now.
    ///
    /// # Errors
    /// [`Error::ChangedStudy`] when the study, its models or its documents are not those of the trials in the folder;
    /// and as [`Search::run`].
    pub fn resume(&self, folder: &StudyFolder, watch: &mut dyn FnMut(Event)) -> Result<FinishedSearch, Error> {
        let ready = self.prepare()?;
        let other = if self.has_begun(folder, &ready.identity)? {
            None
        } else {
            self.other_study(&ready.identity, &*ready.space)?
        };
        folder.write("study.toml", &self.study.to_toml()?)?;
        self.go_on(folder, ready, other, watch)
    }

    /// The recipe of a trial of the study in `folder`; without a number that of the result, or while there is none of
    /// the best trial so far.
    ///
    /// # Errors
    /// [`Error::UnknownTrial`], [`Error::NoTrial`]; and what the journal says.
    pub fn recipe_of(&self, folder: &StudyFolder, trial: Option<u64>) -> Result<Recipe, Error> {
        if let (None, Some(result)) = (trial, folder.found()?) {
            return Ok(result.best.recipe);
        }
        let history = folder.history()?;
        let finished = || history.trials().iter().filter(|record| record.outcome.is_some());
        let record = match trial {
            Some(id) => finished().find(|record| record.trial.id.0 == id).ok_or_else(|| Error::UnknownTrial {
                study: folder.path().to_path_buf(),
                id,
                count: finished().count(),
            })?,
            None => history.incumbent().ok_or_else(|| Error::NoTrial(folder.path().to_path_buf()))?,
        };
        self.space_in(folder)?.decode(&record.trial.point)
    }
}

impl Search {
    /// Opens what the trials need, and checks it as far as that is possible without running a model.
    fn prepare(&self) -> Result<Ready, Error> {
        self.prepare_on(None)
    }

    /// The same on other devices than the study's.
    fn prepare_on(&self, device: Option<&str>) -> Result<Ready, Error> {
        let space = self.space()?;
        let (runtime, text) = (self.runtime_on(device)?, self.text()?);
        let evaluator = self.evaluator_on(Split::Validation, &text, runtime.clone())?;
        // What is wrong with the test split is to be known now, not after the search.
        self.evaluator_on(Split::Test, &text, runtime.clone())?;
        let plan = BridgePlan::of(&self.study, &*space, &evaluator, &text, &runtime)?;
        let identity = Identity::of(&self.study, &self.family, &evaluator, plan.as_ref())?;
        Ok(Ready { runtime, evaluator, space, plan, identity })
    }

    /// Runs the study in `folder` to its result, in this thread or by several workers.
    fn go_on(
        &self,
        folder: &StudyFolder,
        ready: Ready,
        other: Option<OtherStudy>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<FinishedSearch, Error> {
        let Some(store) = self.shared_store(folder) else { return self.finish(folder, ready, other, None, watch) };
        drop(ready);
        let settings = WorkSettings { stop: Arc::clone(&self.stop), ..WorkSettings::default() };
        match self.work_on(folder, &*store, &settings, true, watch)? {
            Worked { finished: Some(finished), .. } => Ok(finished),
            Worked { left: true, .. } => Err(Error::Ended),
            Worked { .. } => self.finished_elsewhere(folder),
        }
    }

    /// Runs the study in `folder` to its result, from wherever it stands. `other` is what it begins with.
    fn finish(
        &self,
        folder: &StudyFolder,
        ready: Ready,
        other: Option<OtherStudy>,
        workers: Option<Workplace<'_>>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<FinishedSearch, Error> {
        let Ready { runtime, evaluator, space, plan, identity } = ready;
        let crew = workers.map(|place| place.crew(&identity)).transpose()?;
        let mut evaluator = evaluator.with_crew(crew);
        if plan.as_ref().is_some_and(|plan| plan.method != BridgeMethod::Off) {
            evaluator.gather_ahead(&self.family.names().collect::<Vec<_>>())?;
        }
        let space = OpenSpace::of(space, plan.as_ref(), &runtime, folder, None, watch)?;
        let parents = self.parents(folder, &identity, &runtime, &space, &mut evaluator, watch)?;
        let mut study = self.open_journal(folder, &identity, &space, &parents)?;
        if let Some(other) = other {
            let tasks: Vec<String> = evaluator.task_names().map(str::to_owned).collect();
            watch(Event::WarmStart(self.begin_with(&other, &mut study, space.plain(), &parents.reference, &tasks)?));
        }
        let known = folder.found()?;

        let (before, start) = (runtime.timings(), Instant::now());
        let ran = self.trials(&mut study, &space, &mut evaluator, &parents.reference, workers, watch)?;
        let (seconds, spent) = (start.elapsed().as_secs_f64(), runtime.timings() - before);
        let time = match known {
            Some(known) if ran == 0 => known.time,
            _ => TimeSpent { by_workers: workers.is_some(), ..TimeSpent::of(ran, seconds, &spent) },
        };

        space.keep_files();
        let candidates = self.candidates(&study, &space, &parents)?;
        watch(Event::Confirming(candidates.len()));
        let mut confirmation = score_all(candidates, &mut evaluator)?;
        if let Some(plan) = plan.filter(|_| self.study.search.sequential == Some(true)) {
            let sequential = SequentialSettings { o_proj: self.study.bridge.o_proj };
            let refitter = Refitter::new(&runtime, &plan, sequential, &parents.models, folder.bridges()?)?;
            self.refit(&mut confirmation, &refitter, &mut evaluator, &parents.reference, watch)?;
        }
        let best = confirmed(&confirmation, &parents.reference).cloned();
        let best = best.ok_or_else(|| Error::NoTrial(folder.path().to_path_buf()))?;
        let trials = study.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        let front = self.front(&study, folder, &space, &mut evaluator, &parents.reference, watch)?;
        let unseen = self.unseen(&mut evaluator, watch)?;
        let retention = Some(Retained::of(&best, &parents.reference, unseen.as_ref()));
        let result = SearchResult { best, confirmation, trials, retention, unseen, time, front };
        folder.write_result(&result)?;
        folder.remove_unused_bridges(&result)?;
        Ok(FinishedSearch { result, parents, history: study.history().clone() })
    }
}

/// What a search needs before its first trial.
struct Ready {
    runtime: Runtime,
    /// Of the search documents.
    evaluator: RecipeEvaluator,
    /// Without bridges.
    space: Box<dyn RecipeSpace>,
    /// What bridges are fitted on; none where there are none.
    plan: Option<BridgePlan>,
    /// What the outcomes depend on.
    identity: Identity,
}

/// A runtime over a family, with a study's devices, dtype and budgets.
///
/// # Errors
/// What layer-runtime says of the devices and of the family's architecture.
pub(crate) fn runtime(
    study: &StudyFile,
    family: Family,
    registry: Registry,
    reproducible: bool,
) -> Result<Runtime, Error> {
    let settings = &study.runtime;
    let mut devices = layer_runtime::open_devices(&settings.device)?;
    let first = devices.remove(0);
    let within = RuntimeOptions::within(settings.memory_mib.saturating_mul(1 << 20), &family, settings.dtype);
    let options = RuntimeOptions { batch_tokens: settings.batch_tokens, reproducible, ..within };
    Ok(Runtime::new(family, registry, first, options)?.with_further_devices(devices)?)
}
