//! Scores recipes on the study's documents, the same ones in the same batches for every recipe.

use std::collections::HashMap;

use layer_ir::ValidRecipe;
use layer_runtime::{Explainer, Runtime, WorkPlan};
use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use task_eval::{
    Calibration, CalibrationOptions, Download, Limit, ModelTokenizer, ObjectiveError, Options, PreparedTask,
    TaskLibrary, Teacher, negative_log_likelihoods_of,
};

use crate::scores::{Reference, Scores, TaskScore};
use crate::{Error, ObjectiveKind, StudyFile};

/// Which documents of a split are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentSet {
    /// The first pieces, up to the rung of this number, of the documents that the search sees.
    Search {
        /// Index into the study's rungs.
        rung: usize,
    },
    /// The documents kept for the confirmation.
    Confirm,
}

/// The tasks of a study, ready to score one recipe after the other.
///
/// The documents of each task are shuffled once by the study's seed. The search sees the first of them, cut at the rungs into
/// pieces that are always scored as a whole: so a recipe's score does not depend on which pieces were scored before, not in its last
/// bit either, and a trial that is promoted pays for the new pieces alone.
pub struct RecipeEvaluator {
    runtime: Runtime,
    tasks: Vec<EvaluatedTask>,
    rungs: usize,
    seen: HashMap<(String, usize, RungSlice), Values>,
}

type RungSlice = Option<usize>;

struct EvaluatedTask {
    prepared: PreparedTask,
    metric: String,
    /// Its weight in the objective; a group's is spread over its tasks.
    weight: f64,
    /// The documents of each rung beyond those of the rung before it.
    pieces: Vec<Vec<usize>>,
    confirm: Vec<usize>,
    dense: LossSource,
}

/// What stands for the loss of a document.
enum LossSource {
    /// What the task gives.
    Own,
    /// -ln p per token of its prompt.
    Likelihood(Calibration),
    /// As before, until the best parent is known, from which its divergence on the prompt then is.
    AwaitingTeacher(Calibration),
    Divergence(Box<Teacher>),
}

/// A teacher's most likely tokens that are kept.
const KEPT: usize = 64;

#[derive(Clone, Default)]
struct Values {
    metric: Vec<f32>,
    loss: Vec<f32>,
}

/// The split that a evaluator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What the search may see, in part.
    Validation,
    /// What only the report may see.
    Test,
}

impl RecipeEvaluator {
    /// Prepares the study's tasks on a split: documents, prompts and tokens, once.
    ///
    /// # Errors
    /// What `task_eval` says of the task files and their data; [`Error::TooFewDocuments`] when a rung or the confirmation would be empty.
    pub fn new(study: &StudyFile, text: &ModelTokenizer, runtime: Runtime, split: Split) -> Result<Self, Error> {
        let library = TaskLibrary::load(&study.include)?;
        let mut tasks = Vec::new();
        for (position, settings) in study.tasks.iter().enumerate() {
            let options = Options {
                num_fewshot: settings.num_fewshot,
                limit: match split {
                    Split::Validation => settings.limit.map(Limit::Count),
                    Split::Test => None,
                },
                split: Some(match split {
                    Split::Validation => settings.validation.clone(),
                    Split::Test => settings.test.clone(),
                }),
                download: study.download.then(Download::from_environment),
                ..Options::default()
            };
            let configs = library.task(&settings.name)?;
            for config in &configs {
                let prepared = PreparedTask::new(config, text, &options)?;
                let (rungs, share) = match split {
                    Split::Validation => (study.search.rungs.as_slice(), study.search.confirm_share),
                    Split::Test => ([1.0].as_slice(), 0.0),
                };
                let (pieces, confirm) = cut(&prepared, study.seed, position, rungs, share)?;
                let weight = settings.weight / configs.len() as f64;
                let dense = match (split, study.search.objective) {
                    (Split::Validation, ObjectiveKind::Perplexity) => LossSource::Likelihood(prompts(&prepared, text)?),
                    (Split::Validation, ObjectiveKind::Divergence) => {
                        LossSource::AwaitingTeacher(prompts(&prepared, text)?)
                    }
                    _ => LossSource::Own,
                };
                tasks.push(EvaluatedTask { prepared, metric: settings.metric.clone(), weight, pieces, confirm, dense });
            }
        }
        let rungs = tasks.first().map_or(1, |task| task.pieces.len());
        Ok(Self { runtime, tasks, rungs, seen: HashMap::new() })
    }

    /// Takes the best parent of each task as its teacher, if the objective is the divergence from it: from now on that is the loss of a document.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Objective`] when a parent cannot be run.
    pub fn set_teachers(&mut self, best: &[ValidRecipe]) -> Result<(), Error> {
        for (task, parent) in self.tasks.iter_mut().zip(best) {
            if let LossSource::AwaitingTeacher(prompts) = &task.dense {
                let mut model = self.runtime.model(parent.clone())?;
                let teacher = Teacher::of(&mut model, prompts, KEPT).map_err(failed(&task.prepared))?;
                task.dense = LossSource::Divergence(Box::new(teacher));
                // With other losses.
                self.seen.clear();
            }
        }
        Ok(())
    }

    /// How many rungs the search documents have.
    #[must_use]
    pub fn rungs(&self) -> usize {
        self.rungs
    }

    /// The tasks' weights.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.tasks.iter().map(|task| task.weight).collect()
    }

    /// The names of the tasks.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.prepared.name())
    }

    /// For each task, a hash of its documents, prompts and right answers, and of its task file.
    pub fn document_digests(&self) -> impl Iterator<Item = (&str, String)> {
        self.tasks.iter().map(|task| (task.prepared.name(), task.prepared.digest()))
    }

    /// How many documents a part has, over all tasks.
    #[must_use]
    pub fn documents(&self, part: DocumentSet) -> usize {
        self.tasks.iter().map(|task| task.pieces_of(part).map(|(_, documents)| documents.len()).sum::<usize>()).sum()
    }

    /// Token ids of at most `per_task` search documents of each task with their right answers: calibration text for the baselines.
    #[must_use]
    pub fn calibration(&self, per_task: usize) -> Vec<Vec<u32>> {
        let window = self.runtime.config().max_position_embeddings;
        let documents = |task: &EvaluatedTask| -> Vec<Vec<u32>> {
            let searched = task.pieces.iter().flatten().take(per_task);
            let tokens = searched.filter_map(|document| task.prepared.gold_tokens(*document));
            tokens.map(|tokens| tokens.into_iter().take(window).collect()).collect()
        };
        self.tasks.iter().flat_map(documents).filter(|tokens| tokens.len() > 1).collect()
    }

    /// How the search documents of each task would be computed for a recipe, without computing them.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub fn explain(&self, recipe: &ValidRecipe) -> Result<Vec<(String, Vec<WorkPlan>)>, Error> {
        let plans = |task: &EvaluatedTask| {
            let mut explainer = Explainer::new(self.runtime.model(recipe.clone())?);
            for (_, documents) in task.pieces_of(DocumentSet::Search { rung: self.rungs - 1 }) {
                task.prepared.evaluate_documents(&mut explainer, documents)?;
            }
            Ok((task.prepared.name().to_string(), explainer.plans().to_vec()))
        };
        self.tasks.iter().map(plans).collect()
    }

    /// What each search document that was scored adds to the objective, in an order in which those of a lower rung come first. Their
    /// mean is the objective, but for what rounding a rung to whole documents does.
    #[must_use]
    pub fn instances(&self, scores: &Scores, reference: &Reference, kind: ObjectiveKind) -> Vec<f64> {
        let all: usize = self.tasks.iter().map(|task| task.pieces.iter().map(Vec::len).sum::<usize>()).sum();
        let shares = reference.shares(scores, kind);
        let mut instances = Vec::new();
        for piece in 0..self.rungs {
            for (task, (judged, score)) in self.tasks.iter().zip(scores).enumerate() {
                let start: usize = judged.pieces[..piece].iter().map(Vec::len).sum();
                let end = start + judged.pieces[piece].len();
                if end > score.documents.len() {
                    return instances;
                }
                let scale = all as f64 / judged.pieces.iter().map(Vec::len).sum::<usize>().max(1) as f64;
                let losses = (start..end).map(|document| score.losses.get(document).copied().unwrap_or(f32::NAN));
                instances.extend(score.documents[start..end].iter().zip(losses).map(|(document, loss)| {
                    // Six digits are enough to compare by, and keep the journal small.
                    let value = scale * reference.document_objective(task, shares[task], *document, loss, kind);
                    (value * 1e6).round() / 1e6
                }));
            }
        }
        instances
    }

    /// The scores of `recipe` on a part of the documents. What was scored before is not scored again.
    ///
    /// # Errors
    /// [`Error::Model`] when the model cannot be run, [`Error::UnknownMetric`] for a metric that a task does not report.
    pub fn score(&mut self, recipe: &ValidRecipe, part: DocumentSet) -> Result<Scores, Error> {
        let key = recipe.key();
        let mut model = None;
        let mut scores = Vec::with_capacity(self.tasks.len());
        for (index, task) in self.tasks.iter().enumerate() {
            let mut values = Values::default();
            for (piece, documents) in task.pieces_of(part) {
                let place = (key.clone(), index, piece);
                if !self.seen.contains_key(&place) {
                    if model.is_none() {
                        model = Some(self.runtime.model(recipe.clone())?);
                    }
                    if let Some(model) = model.as_mut() {
                        self.seen.insert(place.clone(), task.evaluate(model, documents)?);
                    }
                }
                if let Some(known) = self.seen.get(&place) {
                    values.metric.extend_from_slice(&known.metric);
                    values.loss.extend_from_slice(&known.loss);
                }
            }
            scores.push(TaskScore::of(task.prepared.name(), values.metric, &values.loss));
        }
        Ok(scores)
    }
}

impl EvaluatedTask {
    fn pieces_of(&self, part: DocumentSet) -> impl Iterator<Item = (RungSlice, &[usize])> {
        let pieces = match part {
            DocumentSet::Search { rung } => self.pieces[..=rung.min(self.pieces.len() - 1)].iter().enumerate(),
            DocumentSet::Confirm => self.pieces[..0].iter().enumerate(),
        };
        let confirm = (part == DocumentSet::Confirm).then_some((None, self.confirm.as_slice()));
        pieces.map(|(i, documents)| (Some(i), documents.as_slice())).chain(confirm)
    }

    fn evaluate(&self, model: &mut layer_runtime::RecipeModel, documents: &[usize]) -> Result<Values, Error> {
        let result = self.prepared.evaluate_documents(model, documents)?;
        let (task, metric) = (|| self.prepared.name().to_string(), || self.metric.clone());
        let unknown = || {
            let found = result.metrics.keys().cloned().collect::<Vec<_>>().join(", ");
            Error::UnknownMetric { task: task(), metric: metric(), found }
        };
        if !result.metric(&self.metric).ok_or_else(unknown)?.higher_is_better {
            return Err(Error::LessIsBetter { task: task(), metric: metric() });
        }
        let mut values = Values::default();
        for document in &result.documents {
            let value = document.metric(&self.metric).ok_or_else(unknown)?;
            values.metric.push(value as f32);
            values.loss.push(document.loss.unwrap_or(f64::NAN) as f32);
        }
        let losses = match &self.dense {
            LossSource::Own => return Ok(values),
            LossSource::Likelihood(prompts) | LossSource::AwaitingTeacher(prompts) => {
                negative_log_likelihoods_of(model, prompts, documents)
            }
            LossSource::Divergence(teacher) => teacher.divergence_of(model, documents),
        };
        values.loss = losses.map_err(failed(&self.prepared))?.into_iter().map(|loss| loss as f32).collect();
        Ok(values)
    }
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

/// Shuffles a task's documents and cuts them: pieces between the rungs, and the confirmation's share.
fn cut(
    task: &PreparedTask,
    seed: u64,
    position: usize,
    rungs: &[f64],
    share: f64,
) -> Result<(Vec<Vec<usize>>, Vec<usize>), Error> {
    let mut order: Vec<usize> = (0..task.len()).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position as u64);
    order.shuffle(&mut random);
    let searched = order.len() - (order.len() as f64 * share).round() as usize;
    let confirm = order.split_off(searched);
    let ends: Vec<usize> = rungs.iter().map(|rung| (searched as f64 * rung).ceil() as usize).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let pieces: Vec<Vec<usize>> =
        starts.zip(&ends).map(|(start, end)| order[start..(*end).max(start)].to_vec()).collect();
    if pieces.iter().any(Vec::is_empty) || (share > 0.0 && confirm.is_empty()) {
        let needed = rungs.len() * 4;
        return Err(Error::TooFewDocuments { task: task.name().to_string(), documents: task.len(), needed });
    }
    Ok((pieces, confirm))
}
