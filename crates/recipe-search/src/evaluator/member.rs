//! One task of those that a group sums up, or the only one where there is no group.

use layer_ir::ValidRecipe;
use layer_runtime::{RecipeModel, Runtime};
use serde::{Deserialize, Serialize};
use task_eval::{
    Calibration, CalibrationOptions, ModelTokenizer, ObjectiveError, OutputType, PreparedTask, TaskConfig, Teacher,
    negative_log_likelihoods_of,
};

use super::EvaluatorSettings;
use crate::objectives::DocumentLoss;
use crate::{Error, TaskSettings};

/// So many of a teacher's most likely tokens are kept for each position: the divergence is taken over these and one
/// rest.
const KEPT: usize = 64;

/// What stands for the loss of a document.
enum LossSource {
    /// What the task gives, if it gives one.
    Task,
    /// -ln p per token of its prompt.
    PromptLikelihood(Calibration),
    /// The divergence from a teacher on its prompt; until the best parent is known and becomes the teacher, -ln p per
    /// token.
    Teacher(Calibration, Option<Box<Teacher>>),
}

/// The metric and the loss of some documents, in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DocumentValues {
    /// More is better.
    #[serde(with = "numbers")]
    pub metric: Vec<f32>,
    /// In nats; NaN where there is none.
    #[serde(with = "numbers")]
    pub loss: Vec<f32>,
}

impl DocumentValues {
    pub fn extend(&mut self, others: &Self) {
        self.metric.extend_from_slice(&others.metric);
        self.loss.extend_from_slice(&others.loss);
    }
}

/// Numbers as the base64 of their little-endian bytes: a search keeps those of every trial, and as JSON numbers they
/// take many times the memory. NaN stays what it is.
mod numbers {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(numbers: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if rest.is_empty() {
            Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        } else {
            Err(D::Error::custom("a number is cut off"))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::super::DocumentValues;

        #[test]
        fn numbers_come_back_bit_for_bit() -> Result<(), serde_json::Error> {
            let numbers = vec![0.1, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 3.0];
            let values = DocumentValues { metric: numbers.clone(), loss: Vec::new() };
            let again: DocumentValues = serde_json::from_value(serde_json::to_value(&values)?)?;
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            assert_eq!((bits(&again.metric), again.loss), (bits(&numbers), Vec::new()));
            for wrong in
                [r#"{"metric":"AAA","loss":""}"#, r#"{"metric":"AAAA","loss":""}"#, r#"{"metric":[],"loss":""}"#]
            {
                assert!(serde_json::from_str::<DocumentValues>(wrong).is_err(), "{wrong}");
            }
            Ok(())
        }
    }
}

/// A prepared task and what stands for the loss of its documents.
pub(super) struct Member {
    /// Its documents and prompts.
    pub prepared: PreparedTask,
    loss: LossSource,
}

impl Member {
    /// Prepares a task.
    ///
    /// # Errors
    /// As of [`RecipeEvaluator::new`](super::RecipeEvaluator::new).
    pub fn new(
        settings: &EvaluatorSettings,
        task: &TaskSettings,
        config: &TaskConfig,
        text: &ModelTokenizer,
    ) -> Result<Self, Error> {
        let prepared = PreparedTask::new(config, text, &settings.options(task))?;
        check_metric(&prepared, &task.metric)?;
        let loss = match settings.loss {
            DocumentLoss::Task if config.output_type == OutputType::GenerateUntil => {
                return Err(Error::NoLoss { task: prepared.name().to_string() });
            }
            DocumentLoss::Unread | DocumentLoss::Task | DocumentLoss::TaskIfGiven => LossSource::Task,
            DocumentLoss::PromptLikelihood => LossSource::PromptLikelihood(prompts(&prepared, text)?),
            DocumentLoss::TeacherDivergence => LossSource::Teacher(prompts(&prepared, text)?, None),
        };
        Ok(Self { prepared, loss })
    }

    /// Makes `parent` the teacher if the loss is the divergence from one; none: there is no teacher yet.
    pub fn set_teacher(&mut self, runtime: &Runtime, parent: Option<&ValidRecipe>) -> Result<(), Error> {
        let LossSource::Teacher(prompts, teacher) = &mut self.loss else { return Ok(()) };
        let taught_by = |parent: &ValidRecipe| {
            let teacher = Teacher::of(&mut runtime.model(parent.clone())?, prompts, KEPT);
            teacher.map(Box::new).map_err(failed(&self.prepared))
        };
        *teacher = parent.map(taught_by).transpose()?;
        Ok(())
    }

    /// Whether the loss is the divergence from a teacher.
    pub fn has_teacher(&self) -> bool {
        matches!(self.loss, LossSource::Teacher(..))
    }

    /// Metric and loss of these documents, in their order.
    ///
    /// # Errors
    /// What the model and the task say; [`Error::Objective`] when the loss cannot be had.
    pub fn evaluate(
        &self,
        model: &mut RecipeModel,
        metric: &str,
        documents: &[usize],
    ) -> Result<DocumentValues, Error> {
        let result = self.prepared.evaluate_documents(model, documents)?;
        let mut values = DocumentValues::default();
        for document in &result.documents {
            let value = document.metric(metric).ok_or_else(|| unknown_metric(&self.prepared, metric))?;
            values.metric.push(value as f32);
            values.loss.push(document.loss.unwrap_or(f64::NAN) as f32);
        }
        let losses = match &self.loss {
            LossSource::Task => return Ok(values),
            LossSource::PromptLikelihood(prompts) | LossSource::Teacher(prompts, None) => {
                negative_log_likelihoods_of(model, prompts, documents)
            }
            LossSource::Teacher(_, Some(teacher)) => teacher.divergence_of(model, documents),
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
