//! One task of an evaluator.

use layer_ir::ValidRecipe;
use layer_runtime::{RecipeModel, Runtime};
use task_eval::{
    Calibration, CalibrationOptions, ModelTokenizer, ObjectiveError, OutputType, PreparedTask, TaskConfig, Teacher,
    negative_log_likelihoods_of,
};

use super::cut::{Cut, cut};
use super::{DocumentSet, EvaluatorSettings};
use crate::objectives::DocumentLoss;
use crate::{Error, TaskSettings};

/// So many of a teacher's most likely tokens are kept for each position: the divergence is taken over these and one
/// rest.
const KEPT: usize = 64;

/// Documents that are always scored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RungSlice {
    /// Those of a rung beyond those of the rung before it.
    Rung(usize),
    /// Those of the confirmation.
    Confirm,
}

/// What stands for the loss of a document.
enum LossSource {
    /// What the task gives, if it gives one.
    Task,
    /// -ln p per token of its prompt.
    PromptLikelihood(Calibration),
    /// -ln p per token of its prompt, until the best parent is known and becomes the teacher.
    AwaitingTeacher(Calibration),
    /// The divergence from the teacher on its prompt.
    Teacher(Box<Teacher>),
}

/// The metric and the loss of some documents, in their order.
#[derive(Clone, Default)]
pub(super) struct DocumentValues {
    /// More is better.
    pub metric: Vec<f32>,
    /// In nats; NaN where there is none.
    pub loss: Vec<f32>,
}

impl DocumentValues {
    pub fn extend(&mut self, others: &Self) {
        self.metric.extend_from_slice(&others.metric);
        self.loss.extend_from_slice(&others.loss);
    }
}

/// A prepared task, its documents cut into slices.
pub(super) struct EvaluatedTask {
    /// Its documents and prompts.
    pub prepared: PreparedTask,
    /// What the study says of it, or of the group that it is in.
    pub settings: TaskSettings,
    /// Its weight in the objective; a group's is spread over its tasks.
    pub weight: f64,
    /// The documents of each rung beyond those of the rung before it.
    pub slices: Vec<Vec<usize>>,
    /// The documents of the confirmation.
    confirm: Vec<usize>,
    /// What stands for the loss of a document.
    loss: LossSource,
}

impl EvaluatedTask {
    /// Prepares the task and cuts its documents. `position` is that of the task in the study, which decides on the
    /// order of its documents.
    ///
    /// # Errors
    /// As of [`RecipeEvaluator::new`](super::RecipeEvaluator::new).
    pub fn new(
        settings: &EvaluatorSettings,
        task: &TaskSettings,
        config: &TaskConfig,
        position: u64,
        weight: f64,
        text: &ModelTokenizer,
    ) -> Result<Self, Error> {
        let prepared = PreparedTask::new(config, text, &settings.options(task))?;
        check_metric(&prepared, &task.metric)?;
        let Cut { slices, confirm } =
            cut(prepared.len(), settings.seed, position, &settings.rungs, settings.confirm_share).map_err(
                |needed| Error::TooFewDocuments {
                    task: prepared.name().to_string(),
                    documents: prepared.len(),
                    needed,
                },
            )?;
        let loss = match settings.loss {
            DocumentLoss::Task if config.output_type == OutputType::GenerateUntil => {
                return Err(Error::NoLoss { task: prepared.name().to_string() });
            }
            DocumentLoss::Unread | DocumentLoss::Task | DocumentLoss::TaskIfGiven => LossSource::Task,
            DocumentLoss::PromptLikelihood => LossSource::PromptLikelihood(prompts(&prepared, text)?),
            DocumentLoss::TeacherDivergence => LossSource::AwaitingTeacher(prompts(&prepared, text)?),
        };
        Ok(Self { prepared, settings: task.clone(), weight, slices, confirm, loss })
    }

    /// Makes `parent` the teacher if the task awaits one, and says whether it did.
    pub fn set_teacher(&mut self, runtime: &Runtime, parent: &ValidRecipe) -> Result<bool, Error> {
        let LossSource::AwaitingTeacher(prompts) = &self.loss else { return Ok(false) };
        let mut model = runtime.model(parent.clone())?;
        let teacher = Teacher::of(&mut model, prompts, KEPT).map_err(failed(&self.prepared))?;
        self.loss = LossSource::Teacher(Box::new(teacher));
        Ok(true)
    }

    /// How many documents the search sees.
    pub fn search_documents(&self) -> usize {
        self.slices.iter().map(Vec::len).sum()
    }

    /// The slices of a set of documents, each with the places of its documents in the task.
    pub fn slices_of(&self, set: DocumentSet) -> impl Iterator<Item = (RungSlice, &[usize])> {
        let slices = match set {
            DocumentSet::Search { rung } => &self.slices[..self.slices.len().min(rung + 1)],
            DocumentSet::Confirm => &[],
        };
        let confirm = (set == DocumentSet::Confirm).then_some((RungSlice::Confirm, self.confirm.as_slice()));
        slices.iter().enumerate().map(|(rung, documents)| (RungSlice::Rung(rung), documents.as_slice())).chain(confirm)
    }

    /// Metric and loss of these documents, in their order.
    ///
    /// # Errors
    /// What the model and the task say; [`Error::Objective`] when the loss cannot be had.
    pub fn evaluate(&self, model: &mut RecipeModel, documents: &[usize]) -> Result<DocumentValues, Error> {
        let result = self.prepared.evaluate_documents(model, documents)?;
        let mut values = DocumentValues::default();
        for document in &result.documents {
            let name = &self.settings.metric;
            let metric = document.metric(name).ok_or_else(|| unknown_metric(&self.prepared, name))?;
            values.metric.push(metric as f32);
            values.loss.push(document.loss.unwrap_or(f64::NAN) as f32);
        }
        let losses = match &self.loss {
            LossSource::Task => return Ok(values),
            LossSource::PromptLikelihood(prompts) | LossSource::AwaitingTeacher(prompts) => {
                negative_log_likelihoods_of(model, prompts, documents)
            }
            LossSource::Teacher(teacher) => teacher.divergence_of(model, documents),
        };
        values.loss = losses.map_err(failed(&self.prepared))?.into_iter().map(|loss| loss as f32).collect();
        Ok(values)
    }
}

/// Whether the task will report the metric, and more of it is better.
fn check_metric(task: &PreparedTask, metric: &str) -> Result<(), Error> {
    let named = |key: &str| key == metric || key.split_once(',').is_some_and(|(name, _)| name == metric);
    match task.reported_metrics().into_iter().find(|(key, _)| named(key)) {
        None => Err(unknown_metric(task, metric)),
        Some((_, false)) => Err(Error::LessIsBetter { task: task.name().to_string(), metric: metric.to_string() }),
        Some((_, true)) => Ok(()),
    }
}

fn unknown_metric(task: &PreparedTask, metric: &str) -> Error {
    let found: Vec<String> = task.reported_metrics().into_iter().map(|(key, _)| key).collect();
    Error::UnknownMetric { task: task.name().to_string(), metric: metric.to_string(), found: found.join(", ") }
}

/// The prompts of all documents of a task, by the documents' places.
fn prompts(task: &PreparedTask, text: &ModelTokenizer) -> Result<Calibration, Error> {
    let all: Vec<usize> = (0..task.len()).collect();
    let prompts = Calibration::from_prompts(task, &all, text, &CalibrationOptions::default()).map_err(failed(task))?;
    // A rolling document that does not fit is several texts.
    if prompts.len() == all.len() { Ok(prompts) } else { Err(Error::LongPrompts { task: task.name().to_string() }) }
}

fn failed(task: &PreparedTask) -> impl Fn(ObjectiveError) -> Error {
    let task = task.name().to_string();
    move |source| Error::Objective { task: task.clone(), source: Box::new(source) }
}
