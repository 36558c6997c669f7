//! The training itself: steps, validations, the best numbers so far, and states to go on from.

use std::path::Path;
use std::time::{Duration, Instant};

use layer_ir::ModelConfig;

use crate::losses::{Pack, mean_loss};
use crate::plan::{Plan, packs};
use crate::state::{Progress, StateFolder};
use crate::{
    CurvePoint, Document, Error, Learner, PackedBatch, Schedule, Step, TrainEvent, TrainOutcome, TrainSettings,
};

/// A training of one model on some documents.
pub struct Trainer<'a> {
    /// The documents that are learnt from.
    pub training: &'a [Document],
    /// Those that are held back, to see when to stop.
    pub validation: &'a [Document],
    /// How.
    pub settings: &'a TrainSettings,
    /// What else the training depends on, such as a hash of model and documents: a state is gone on from only if it is
    /// the same.
    pub identity: &'a str,
    /// The folder of its states; it must be there.
    pub folder: &'a Path,
    /// A state is written after a validation if the one before is at least so old.
    pub state_every: Duration,
}

impl Trainer<'_> {
    /// Trains a model from where the learner is, or goes on from the state in the folder. The learner is made with the
    /// same settings.
    ///
    /// The result is never worse on the held-back documents than the start, which counts as one of the candidates. On
    /// the CPU the same arguments give the same numbers, whatever the number of threads, also if the process was killed
    /// meanwhile and started again.
    ///
    /// # Errors
    /// [`Error::NoDocument`], [`Error::NothingCounts`] for what cannot be learnt from; as of [`PackedBatch::new`] for a
    /// document that the model cannot read; [`Error::Read`], [`Error::Write`] and [`Error::State`] for the folder;
    /// [`Error::NotFinite`] for a training that has left all bounds; [`Error::HiddenUnsupported`] and
    /// [`Error::HiddenWidth`] for hidden states that cannot be learnt; [`Error::OptimizerMemory`] for a learner of
    /// other settings; what the learner says of its device.
    pub fn run(&self, learner: Box<dyn Learner>, told: &mut dyn FnMut(TrainEvent)) -> Result<TrainOutcome, Error> {
        let Self { training, settings, .. } = *self;
        self.check(learner.layout().config())?;
        if settings.hidden_weight > 0.0 && !learner.learns_hidden_states() {
            return Err(Error::HiddenUnsupported);
        }
        let lengths: Vec<usize> = training.iter().map(Document::read_tokens).collect();
        let plan = Plan::new(&lengths, settings.tokens, settings.batch_tokens, settings.seed);
        if settings.optimizer_memory != learner.optimizer_memory() {
            return Err(Error::OptimizerMemory);
        }
        let mut run = Run::start(self, learner, &plan, told)?;
        while run.progress.step < plan.steps.len() && run.progress.worse < settings.patience.max(1) {
            let documents = &plan.steps[run.progress.step];
            let step = run.step(documents, &lengths)?;
            told(step);
            if self.is_validated(run.progress.step, plan.steps.len()) {
                told(run.validate()?);
                if run.started.elapsed() >= self.state_every {
                    run.write()?;
                }
            }
        }
        if run.progress.step < plan.steps.len() {
            told(TrainEvent::Stopped { validations: run.progress.worse });
        }
        run.finish()
    }

    /// Whether the held-back documents are read after so many of all steps.
    fn is_validated(&self, step: usize, steps: usize) -> bool {
        let part = |step: usize| step * self.settings.validations.max(1) / steps;
        step == steps || part(step) > part(step - 1)
    }

    /// Whether there is what a training needs.
    fn check(&self, config: &ModelConfig) -> Result<(), Error> {
        if self.training.is_empty() || self.validation.is_empty() {
            return Err(Error::NoDocument { training: self.training.len(), validation: self.validation.len() });
        }
        let documents = self.training.iter().chain(self.validation);
        documents.enumerate().try_for_each(|(place, document)| {
            document.check(place)?;
            PackedBatch::new(&document.sequences().collect::<Vec<_>>(), config).map(drop)
        })
    }
}

/// A training under way.
struct Run<'a, 't> {
    trainer: &'a Trainer<'t>,
    learner: Box<dyn Learner>,
    schedule: Schedule,
    folder: StateFolder,
    progress: Progress,
    /// Since the last point of the curve: losses and how many rows they are of.
    since: (f64, usize),
    /// When it began, or the last state was written.
    started: Instant,
}

impl<'a, 't> Run<'a, 't> {
    /// From the state in the folder, or from the beginning.
    fn start(
        trainer: &'a Trainer<'t>,
        mut learner: Box<dyn Learner>,
        plan: &Plan,
        told: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, Error> {
        let settings = trainer.settings;
        let folder = StateFolder(trainer.folder.to_owned());
        let identity = format!("{}\n{settings:?}", trainer.identity);
        let known = folder.read(&identity, learner.trained_numbers(), settings.optimizer_memory)?;
        let resumed = known.is_some();
        let nothing = Progress { identity, step: 0, tokens: 0, best: 0, worse: 0, curve: Vec::new(), seconds: 0.0 };
        let progress = match known {
            Some(state) => {
                learner.restore(state.learner)?;
                state.progress
            }
            None => nothing,
        };
        let steps = plan.steps.len();
        let warm_up = (settings.warm_up * steps as f64).round() as usize;
        let schedule = Schedule { rate: settings.rate, warm_up, steps };
        let lengths = plan.steps.iter().flatten().map(|document| trainer.training[*document].read_tokens());
        let (done, tokens, of_tokens) = (progress.step, progress.tokens, lengths.sum());
        told(TrainEvent::Started { done, steps, tokens, of_tokens });
        let (since, started) = ((0.0, 0), Instant::now());
        let mut run = Self { trainer, learner, schedule, folder, progress, since, started };
        if !resumed {
            told(run.validate()?);
            run.write()?;
        }
        Ok(run)
    }

    /// One step over some documents.
    fn step(&mut self, documents: &[usize], lengths: &[usize]) -> Result<TrainEvent, Error> {
        let Trainer { training, settings, .. } = *self.trainer;
        let counted: usize = documents.iter().map(|document| training[*document].counted()).sum();
        let weight = 1.0 / counted.max(1) as f32;
        self.learner.zero_gradients()?;
        let mut loss = 0.0;
        for pack in packs(documents, lengths, settings.micro_tokens) {
            let pack = Pack::new(training, &pack, self.learner.layout().config(), settings.hidden_weight)?;
            loss += pack.add_gradients(self.learner.as_mut(), weight)?;
        }
        let (number, norm) = (self.progress.step + 1, self.learner.gradient_norm()?);
        if !loss.is_finite() || !norm.is_finite() {
            return Err(Error::NotFinite { step: number });
        }
        let clip = if norm > settings.clip { settings.clip / norm } else { 1.0 };
        let step = Step { number, rate: self.schedule.rate(self.progress.step), clip };
        self.learner.update(step)?;
        self.progress.step = number;
        self.since = (self.since.0 + loss * counted as f64, self.since.1 + counted);
        let tokens: usize = documents.iter().map(|document| lengths[*document]).sum();
        self.progress.tokens += tokens;
        Ok(TrainEvent::Step { step: number, tokens, loss, norm })
    }

    /// Reads the held-back documents, and keeps the numbers if they are the best so far.
    fn validate(&mut self) -> Result<TrainEvent, Error> {
        let validation = mean_loss(self.learner.as_ref(), self.trainer.validation, self.trainer.settings)?;
        let step = self.progress.step;
        let (losses, rows) = std::mem::take(&mut self.since);
        let point = CurvePoint {
            step,
            tokens: self.progress.tokens,
            loss: (rows > 0).then(|| losses / rows as f64),
            validation,
            rate: if step == 0 { 0.0 } else { self.schedule.rate(step - 1) },
        };
        let lowest = self.progress.curve.iter().map(|point| point.validation).fold(f64::INFINITY, f64::min);
        let best = validation < lowest || step == 0;
        self.progress.curve.push(point);
        if best {
            (self.progress.best, self.progress.worse) = (step, 0);
            self.folder.write_best(step, self.learner.layout(), &self.learner.values()?)?;
        } else {
            self.progress.worse += 1;
        }
        Ok(TrainEvent::Validated { point, best })
    }

    /// Writes the state.
    fn write(&mut self) -> Result<(), Error> {
        self.progress.seconds += self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        self.folder.write(&self.progress, &self.learner.state()?)
    }

    /// The best numbers.
    fn finish(self) -> Result<TrainOutcome, Error> {
        let Progress { step, best, curve, seconds, .. } = self.progress;
        let seconds = seconds + self.started.elapsed().as_secs_f64();
        let values = if best == step {
            self.learner.into_values()?
        } else {
            let layout = self.learner.layout().clone();
            drop(self.learner);
            self.folder.read_best(best, &layout)?
        };
        Ok(TrainOutcome { values, best, steps: step, curve, seconds })
    }
}
