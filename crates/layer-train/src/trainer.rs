//! The training itself: steps, validations, the best numbers so far, and states to go on from.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::adam_w::Step;
use crate::plan::{Plan, packs};
use crate::state::{Progress, StateFolder};
use crate::trained::{Trained, norm, trained};
use crate::{AdamW, Document, Error, ModelEngine, PackedBatch, Schedule, Target, TrainWhat};

/// How a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSettings {
    /// Tokens to train on, those read again counted again; the last step may bring some more.
    pub tokens: usize,
    /// Tokens of a step, at least, in whole documents.
    pub batch_tokens: usize,
    /// The most tokens whose activations are held at once; one longer document is held alone.
    pub micro_tokens: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// The share of the steps in which it is reached, from 0 to 1.
    pub warm_up: f64,
    /// The optimiser.
    pub adam: AdamW,
    /// The largest norm of a step's gradients; larger ones are scaled down to it.
    pub clip: f64,
    /// The seed of the documents' order.
    pub seed: u64,
    /// How many times the loss on held-back documents is measured, evenly over the steps; at least 1.
    pub validations: usize,
    /// The training ends after so many validations in a row that bring nothing better.
    pub patience: usize,
    /// What is trained.
    pub what: TrainWhat,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            tokens: 100_000,
            batch_tokens: 1024,
            micro_tokens: 1024,
            rate: 1e-4,
            warm_up: 0.1,
            adam: AdamW::default(),
            clip: 1.0,
            seed: 0,
            validations: 10,
            patience: 3,
            what: TrainWhat::All,
        }
    }
}

/// What was measured after a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps so far.
    pub step: usize,
    /// Tokens so far.
    pub tokens: usize,
    /// Mean loss of a counted token in the steps since the last point, in nats; `None` before the first step.
    pub loss: Option<f64>,
    /// Mean loss of a counted token of the held-back documents, in nats.
    pub validation: f64,
    /// The learning rate of the last step; 0 before the first.
    pub rate: f64,
}

/// What a training tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// It begins, or goes on after so many steps.
    Started {
        /// Steps that are done.
        done: usize,
        /// Steps in all.
        steps: usize,
        /// Tokens of the steps that are done.
        tokens: usize,
        /// Tokens of all steps.
        of_tokens: usize,
    },
    /// A step is done.
    Step {
        /// Steps so far.
        step: usize,
        /// Tokens of this step.
        tokens: usize,
        /// Mean loss of a counted token, in nats.
        loss: f64,
        /// The norm of the gradients, before it was bounded.
        norm: f64,
    },
    /// The held-back documents were read.
    Validated {
        /// What was measured.
        point: CurvePoint,
        /// Whether it is the lowest so far.
        best: bool,
    },
    /// Nothing better came for so many validations, so the training ends.
    Stopped {
        /// Those validations.
        validations: usize,
    },
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOutcome {
    /// The numbers of the model after [`Self::best`], in the order of its layout.
    pub values: Vec<f32>,
    /// The step after which the loss on held-back documents was lowest; 0 if that was the start.
    pub best: usize,
    /// Steps that were done.
    pub steps: usize,
    /// What was measured, the start first.
    pub curve: Vec<CurvePoint>,
    /// Seconds, those before it was killed counted in.
    pub seconds: f64,
}

/// A training of one model on some documents.
pub struct Trainer<'a> {
    /// What computes.
    pub engine: &'a ModelEngine,
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
    /// Trains a model from `values`, or goes on from the state in the folder.
    ///
    /// The result is never worse on the held-back documents than the start, which counts as one of the candidates. The
    /// same arguments give the same numbers, whatever the number of threads, also if the process was killed meanwhile
    /// and started again.
    ///
    /// # Errors
    /// [`Error::NoDocument`], [`Error::NothingCounts`], [`Error::NothingToTrain`] for what cannot be trained; as of
    /// [`PackedBatch::new`] for a document that the model cannot read; [`Error::Read`], [`Error::Write`] and
    /// [`Error::State`] for the folder; [`Error::NotFinite`] for a training that has left all bounds.
    pub fn run(&self, values: Vec<f32>, told: &mut dyn FnMut(TrainEvent)) -> Result<TrainOutcome, Error> {
        let Self { training, settings, .. } = *self;
        self.check()?;
        let lengths: Vec<usize> = training.iter().map(|document| document.tokens.len()).collect();
        let plan = Plan::new(&lengths, settings.tokens, settings.batch_tokens, settings.seed);
        let mut run = Run::start(self, &plan, values, told)?;
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
    fn check(&self) -> Result<(), Error> {
        if self.training.is_empty() || self.validation.is_empty() {
            return Err(Error::NoDocument { training: self.training.len(), validation: self.validation.len() });
        }
        let documents = self.training.iter().chain(self.validation);
        documents.enumerate().try_for_each(|(place, document)| {
            document.check(place)?;
            PackedBatch::new(&[&document.tokens], self.engine.layout().config()).map(drop)
        })
    }
}

/// A training under way.
struct Run<'a, 't> {
    trainer: &'a Trainer<'t>,
    schedule: Schedule,
    trained: Box<dyn Trained>,
    /// m and v of the optimiser.
    moments: [Vec<f32>; 2],
    values: Vec<f32>,
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
        plan: &Plan,
        mut values: Vec<f32>,
        told: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, Error> {
        let settings = trainer.settings;
        let layout = trainer.engine.layout();
        let mut trained = trained(layout, &settings.what, &values, settings.seed)?;
        let numbers = trained.gradients().len();
        let folder = StateFolder(trainer.folder.to_owned());
        let identity = format!("{}\n{settings:?}", trainer.identity);
        let known = folder.read(&identity, numbers)?;
        let resumed = known.is_some();
        let nothing = Progress { identity, step: 0, tokens: 0, best: 0, worse: 0, curve: Vec::new(), seconds: 0.0 };
        let (progress, moments) = match known {
            Some(state) => {
                trained.restore(state.numbers, &mut values);
                (state.progress, state.moments)
            }
            None => (nothing, [vec![0.0; numbers], vec![0.0; numbers]]),
        };
        let steps = plan.steps.len();
        let warm_up = (settings.warm_up * steps as f64).round() as usize;
        let schedule = Schedule { rate: settings.rate, warm_up, steps };
        let lengths = plan.steps.iter().flatten().map(|document| trainer.training[*document].tokens.len());
        let (done, tokens, of_tokens) = (progress.step, progress.tokens, lengths.sum());
        told(TrainEvent::Started { done, steps, tokens, of_tokens });
        let (since, started) = ((0.0, 0), Instant::now());
        let mut run = Self { trainer, schedule, trained, moments, values, folder, progress, since, started };
        if !resumed {
            told(run.validate()?);
            run.write()?;
        }
        Ok(run)
    }

    /// One step over some documents.
    fn step(&mut self, documents: &[usize], lengths: &[usize]) -> Result<TrainEvent, Error> {
        let Trainer { engine, training, settings, .. } = *self.trainer;
        let counted: usize = documents.iter().map(|document| training[*document].counted()).sum();
        let weight = 1.0 / counted.max(1) as f32;
        self.trained.gradients().fill(0.0);
        let mut loss = 0.0;
        for pack in packs(documents, lengths, settings.micro_tokens) {
            let pack: Vec<&Document> = pack.iter().map(|document| &training[*document]).collect();
            loss += with_targets(engine, &pack, weight, |batch, targets| {
                engine.gradients(&self.values, batch, targets, self.trained.as_mut())
            })?;
        }
        let (number, norm) = (self.progress.step + 1, norm(self.trained.gradients()));
        if !loss.is_finite() || !norm.is_finite() {
            return Err(Error::NotFinite { step: number });
        }
        let clip = if norm > settings.clip { settings.clip / norm } else { 1.0 };
        let step = Step { number, rate: self.schedule.rate(self.progress.step), clip };
        self.trained.update(&settings.adam, step, &mut self.moments, &mut self.values);
        self.progress.step = number;
        self.since = (self.since.0 + loss * counted as f64, self.since.1 + counted);
        let tokens: usize = documents.iter().map(|document| lengths[*document]).sum();
        self.progress.tokens += tokens;
        Ok(TrainEvent::Step { step: number, tokens, loss, norm })
    }

    /// Reads the held-back documents, and keeps the numbers if they are the best so far.
    fn validate(&mut self) -> Result<TrainEvent, Error> {
        let validation = mean_loss(self.trainer.engine, &self.values, self.trainer.validation, self.trainer.settings)?;
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
            self.folder.write_best(step, self.trainer.engine.layout(), &self.values)?;
        } else {
            self.progress.worse += 1;
        }
        Ok(TrainEvent::Validated { point, best })
    }

    /// Writes the state.
    fn write(&mut self) -> Result<(), Error> {
        self.progress.seconds += self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        self.folder.write(&self.progress, &self.trained.numbers(&self.values), &self.moments)
    }

    /// The best numbers.
    fn finish(self) -> Result<TrainOutcome, Error> {
        let Progress { step, best, curve, seconds, .. } = self.progress;
        let seconds = seconds + self.started.elapsed().as_secs_f64();
        let values =
            if best == step { self.values } else { self.folder.read_best(best, self.trainer.engine.layout())? };
        Ok(TrainOutcome { values, best, steps: step, curve, seconds })
    }
}

/// The mean loss of a counted token of some documents, in nats.
///
/// # Errors
/// As of [`Trainer::run`].
pub fn mean_loss(
    engine: &ModelEngine,
    values: &[f32],
    documents: &[Document],
    settings: &TrainSettings,
) -> Result<f64, Error> {
    let lengths: Vec<usize> = documents.iter().map(|document| document.tokens.len()).collect();
    let all: Vec<usize> = (0..documents.len()).collect();
    let (mut loss, mut counted) = (0.0, 0);
    for pack in packs(&all, &lengths, settings.micro_tokens) {
        let pack: Vec<&Document> = pack.iter().map(|document| &documents[*document]).collect();
        counted += pack.iter().map(|document| document.counted()).sum::<usize>();
        loss += with_targets(engine, &pack, 1.0, |batch, targets| engine.loss(values, batch, targets))?;
    }
    Ok(loss / counted.max(1) as f64)
}

/// Hands some documents as a batch to `compute`, each counted row with this weight.
fn with_targets(
    engine: &ModelEngine,
    documents: &[&Document],
    weight: f32,
    compute: impl FnOnce(&PackedBatch, &[Target<'_>]) -> Result<f64, Error>,
) -> Result<f64, Error> {
    let sequences: Vec<&[u32]> = documents.iter().map(|document| document.tokens.as_slice()).collect();
    let batch = PackedBatch::new(&sequences, engine.layout().config())?;
    let teachers = documents.iter().map(|document| document.teacher_rows()).collect::<Result<Vec<_>, _>>()?;
    let mut targets = Vec::new();
    for ((document, teacher), rows) in documents.iter().zip(&teachers).zip(batch.sequences()) {
        document.add_targets(teacher, rows.start, weight, &mut targets);
    }
    compute(&batch, &targets)
}
