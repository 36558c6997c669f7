//! Scores recipes on the documents of some tasks, the same ones in the same batches for every recipe.

mod calibration;
mod cut;
mod jobs;
mod member;
mod meter;
mod piece;
mod settings;
mod task;

use std::collections::HashMap;
use std::sync::Arc;

use layer_ir::ValidRecipe;
use layer_runtime::{Explainer, RecipeModel, Runtime, WorkPlan};
use task_eval::{ModelTokenizer, TaskLibrary};

use crate::Error;
use crate::objectives::Objective;
use crate::scores::{Reference, Scores};
pub(crate) use calibration::TaskText;
pub(crate) use jobs::{Crew, Job, Posted, ScoreJob, Wanted};
pub(crate) use piece::{Piece, PieceValues};
use task::EvaluatedTask;

pub use meter::{DocumentMeter, DocumentsDone, WorkDone};
pub use settings::{EvaluatorSettings, Split};

/// Which documents of a split are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentSet {
    /// The first documents, up to the rung of this number, of those that the search sees.
    Search {
        /// Index into the rungs; one beyond the last means the last.
        rung: usize,
    },
    /// The documents kept for the confirmation.
    Confirm,
}

/// Some tasks, ready to score one recipe after the other.
///
/// The documents of each task are shuffled once by a seed. The first of them are for the search, cut at the rungs
/// into slices that are always scored as a whole. So a recipe's score does not depend on which slices were scored
/// before, not in its last bit either, and a trial that is promoted pays for the new slices alone.
///
/// ```no_run
/// # use recipe_search::{DocumentSet, EvaluatorSettings, RecipeEvaluator, Study, Search, baselines::whole_model};
/// let search = Search::new(Study::read("study.toml".as_ref())?)?;
/// let settings = EvaluatorSettings::new(search.study().tasks.clone());
/// let mut evaluator = RecipeEvaluator::new(&settings, &search.text()?, search.runtime()?)?;
/// let base = whole_model(search.family(), "base").validate(search.family(), search.registry())?;
/// for score in evaluator.score(&base, DocumentSet::Search { rung: 0 })? {
///     println!("{}: {:.3}", score.task, score.score);
/// }
/// # Ok::<(), recipe_search::Error>(())
/// ```
pub struct RecipeEvaluator {
    runtime: Runtime,
    tasks: Vec<EvaluatedTask>,
    /// Into how many slices the search documents of each task are cut.
    rungs: usize,
    /// Into how many parts each slice is cut that are scored by themselves.
    parts: usize,
    /// The longest prompt in tokens; none but the model's window if absent.
    max_length: Option<usize>,
    meter: DocumentMeter,
    /// Who teaches each task, where the loss is the divergence from a teacher; empty until that is known.
    teachers: Vec<String>,
    /// The workers of the study, if others evaluate too.
    crew: Option<Crew>,
    /// What was scored, by the recipe's key and the piece.
    scored: HashMap<(String, Piece), PieceValues>,
}

impl RecipeEvaluator {
    /// Prepares the tasks: documents, prompts and tokens, once.
    ///
    /// # Errors
    /// What `task_eval` says of the task files and their data; [`Error::UnknownMetric`] and [`Error::LessIsBetter`]
    /// for a metric that cannot count; [`Error::NoLoss`] when the objective reads a loss that a task does not give;
    /// [`Error::TooFewDocuments`] when a rung or the confirmation would be empty.
    pub fn new(settings: &EvaluatorSettings, text: &ModelTokenizer, runtime: Runtime) -> Result<Self, Error> {
        let library = TaskLibrary::load_with(&settings.include, Arc::clone(&settings.components))?;
        let mut tasks = Vec::new();
        for (position, task) in settings.tasks.iter().enumerate() {
            let selection = library.select(&[&task.name])?;
            let scored = selection.scored();
            let weight = task.weight / scored.len() as f64;
            for scored in &scored {
                tasks.push(EvaluatedTask::new(settings, task, scored, position as u64, weight, text)?);
            }
        }
        let rungs = tasks.first().map_or(1, |task| task.slices.len());
        let max_length = settings.evaluation.max_length;
        Ok(Self {
            runtime,
            tasks,
            rungs,
            parts: settings.parts,
            max_length,
            meter: DocumentMeter::default(),
            teachers: Vec::new(),
            crew: None,
            scored: HashMap::new(),
        })
    }

    /// Shows on this meter how far it is with the recipe that it scores.
    #[must_use]
    pub fn with_meter(self, meter: DocumentMeter) -> Self {
        Self { meter, ..self }
    }

    /// Makes the best parent of each task, in the order of the tasks, its teacher: from now on the loss of a
    /// document is the divergence from that parent. Without parents there is no teacher yet. Does nothing when no
    /// divergence is read.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Objective`] when a parent cannot be run.
    pub fn set_teachers(&mut self, best: &[ValidRecipe]) -> Result<(), Error> {
        let teachers: Vec<String> = best.iter().map(ValidRecipe::key).collect();
        if !self.has_teachers() || self.teachers == teachers {
            return Ok(());
        }
        for (place, task) in self.tasks.iter_mut().enumerate() {
            task.set_teacher(&self.runtime, best.get(place))?;
        }
        self.teachers = teachers;
        // What was scored before has other losses.
        self.scored.clear();
        Ok(())
    }

    /// Whether the loss of a task's documents is the divergence from a teacher.
    pub(crate) fn has_teachers(&self) -> bool {
        self.tasks.iter().any(EvaluatedTask::has_teacher)
    }

    /// How many rungs the search documents have, at least 1.
    #[must_use]
    pub fn rungs(&self) -> usize {
        self.rungs
    }

    /// All documents that the search sees.
    #[must_use]
    pub fn all_search_documents(&self) -> DocumentSet {
        DocumentSet::Search { rung: self.rungs.saturating_sub(1) }
    }

    /// The tasks' weights, as the settings say; their sum need not be 1.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.tasks.iter().map(|task| task.weight).collect()
    }

    /// The names of the tasks and groups that have a score.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.name.as_str())
    }

    /// For each task, also of a group, a hash of its documents, prompts and right answers, and of its task file.
    pub fn document_digests(&self) -> impl Iterator<Item = (&str, String)> {
        let members = self.tasks.iter().flat_map(|task| &task.members);
        members.map(|member| (member.prepared.name(), member.prepared.digest()))
    }

    /// How many documents a set has, over all tasks.
    #[must_use]
    pub fn documents(&self, set: DocumentSet) -> usize {
        self.tasks.iter().map(|task| task.slices_of(set).map(|(_, documents)| documents.len()).sum::<usize>()).sum()
    }

    /// How the search documents of each task would be computed for a recipe, without computing them: a plan for each
    /// rung, of a group one for each of its tasks.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub fn explain(&self, recipe: &ValidRecipe) -> Result<Vec<(String, Vec<WorkPlan>)>, Error> {
        let plans = |task: &EvaluatedTask| {
            let mut explainer = Explainer::new(self.runtime.model(recipe.clone())?);
            for (_, documents) in task.slices_of(self.all_search_documents()) {
                for (member, documents) in task.by_member(documents) {
                    member.prepared.evaluate_documents(&mut explainer, &documents)?;
                }
            }
            Ok((task.name.clone(), explainer.plans().to_vec()))
        };
        self.tasks.iter().map(plans).collect()
    }

    /// What each search document that was scored adds to the objective, in an order in which those of a lower rung
    /// come first. Their mean is the objective, but for what rounding a rung to whole documents does.
    #[must_use]
    pub fn instances(&self, scores: &Scores, reference: &Reference, objective: &dyn Objective) -> Vec<f64> {
        let contributions = objective.contributions(scores, reference);
        let all: usize = self.tasks.iter().map(EvaluatedTask::search_documents).sum();
        let mut instances = Vec::new();
        for rung in 0..self.rungs {
            for (task, values) in self.tasks.iter().zip(&contributions) {
                let start: usize = task.slices[..rung].iter().map(Vec::len).sum();
                let Some(slice) = values.get(start..start + task.slices[rung].len()) else { return instances };
                let scale = all as f64 / task.search_documents().max(1) as f64;
                // Six digits are enough to compare by, and keep the journal small.
                instances.extend(slice.iter().map(|value| (scale * value * 1e6).round() / 1e6));
            }
        }
        instances
    }

    /// The scores of `recipe` on a set of the documents, in the order of the tasks. What was scored before, of this
    /// recipe or of one with an equal key, is not scored again.
    ///
    /// # Errors
    /// [`Error::Model`] when the model cannot be run.
    pub fn score(&mut self, recipe: &ValidRecipe, set: DocumentSet) -> Result<Scores, Error> {
        let (pieces, mut model) = (self.pieces(set), None);
        let mut values = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            values.push(self.score_with(&mut model, recipe, *piece, &pieces)?);
        }
        Ok(self.combine(set, values.iter()))
    }

    /// The values of one piece.
    ///
    /// # Errors
    /// As of [`RecipeEvaluator::score`].
    pub(crate) fn score_piece(&mut self, recipe: &ValidRecipe, piece: Piece) -> Result<PieceValues, Error> {
        self.score_with(&mut None, recipe, piece, &[piece])
    }

    /// Enters the values of a piece that somebody else has scored.
    pub(crate) fn know(&mut self, recipe: &ValidRecipe, piece: Piece, values: PieceValues) {
        self.scored.insert((recipe.key(), piece), values);
    }

    /// The values of a piece, one of those that are wanted; the model is made when it is needed.
    fn score_with(
        &mut self,
        model: &mut Option<RecipeModel>,
        recipe: &ValidRecipe,
        piece: Piece,
        wanted: &[Piece],
    ) -> Result<PieceValues, Error> {
        let key = (recipe.key(), piece);
        if let Some(scored) = self.scored.get(&key) {
            return Ok(scored.clone());
        }
        let model = match model {
            Some(model) => model,
            None => model.insert(self.runtime.model(recipe.clone())?),
        };
        let mut values = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            let count = |pieces: &[Piece]| pieces.iter().map(|piece| self.documents_of(task, *piece).len()).sum();
            let (documents, all) = (self.documents_of(task, piece), count(wanted));
            let before: usize = count(wanted.split(|one| *one == piece).next().unwrap_or_default());
            let runtime = self.runtime.clone();
            self.meter.begin(&task.name, before..before + documents.len(), all, move || WorkDone::of(&runtime));
            let new = task.evaluate(model, documents);
            self.meter.end();
            values.push(new?);
        }
        let values = PieceValues(values);
        self.scored.insert(key, values.clone());
        Ok(values)
    }
}
