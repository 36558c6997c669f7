//! One task of an evaluator: a task, or a group as one.
//!
//! The documents of a group are those of its tasks one after the other, so that its score, the mean over them, is
//! weighted by size as the harness's is.

use layer_ir::ValidRecipe;
use layer_runtime::{RecipeModel, Runtime};
use serde::{Deserialize, Serialize};
use task_eval::{ModelTokenizer, ScoredTask};

use super::cut::{Cut, CutAt, cut, member_of, starts};
use super::member::{DocumentValues, Member};
use super::{DocumentSet, EvaluatorSettings};
use crate::scores::{SubjectScore, TaskScore};
use crate::{Error, TaskSettings};

/// Documents that are always scored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RungSlice {
    /// Those of a rung beyond those of the rung before it.
    Rung(usize),
    /// Those of the confirmation.
    Confirm,
}

/// A task or group, its documents cut into slices.
pub(super) struct EvaluatedTask {
    /// Its name.
    pub name: String,
    /// The tasks of the group, or the only one.
    pub members: Vec<Member>,
    /// Where each member's documents begin among those of all, and where the last one's end.
    starts: Vec<usize>,
    /// What the study says of it.
    pub settings: TaskSettings,
    /// Its weight in the objective.
    pub weight: f64,
    /// The documents of each rung beyond those of the rung before it, each slice by members.
    pub slices: Vec<Vec<usize>>,
    /// The documents of the confirmation, likewise.
    confirm: Vec<usize>,
}

impl EvaluatedTask {
    /// Prepares the task or group and cuts its documents. `position` is that of the task in the study, which decides
    /// on the order of its documents.
    ///
    /// # Errors
    /// As of [`RecipeEvaluator::new`](super::RecipeEvaluator::new).
    pub fn new(
        settings: &EvaluatorSettings,
        task: &TaskSettings,
        scored: &ScoredTask<'_>,
        position: u64,
        weight: f64,
        text: &ModelTokenizer,
    ) -> Result<Self, Error> {
        let members = scored.tasks.iter().map(|config| Member::new(settings, task, config, text));
        let members: Vec<Member> = members.collect::<Result<_, _>>()?;
        let sizes: Vec<usize> = members.iter().map(|member| member.prepared.len()).collect();
        let at = CutAt { rungs: &settings.rungs, confirm_share: settings.confirm_share };
        let name = scored.name.to_owned();
        let Cut { slices, confirm } = cut(&sizes, settings.seed, position, at).map_err(|needed| {
            let documents = sizes.iter().sum();
            Error::TooFewDocuments { task: name.clone(), documents, needed }
        })?;
        Ok(Self { name, members, starts: starts(&sizes), settings: task.clone(), weight, slices, confirm })
    }

    /// Makes `parent` the teacher of each member whose loss is the divergence from one; none: there is no teacher yet.
    pub fn set_teacher(&mut self, runtime: &Runtime, parent: Option<&ValidRecipe>) -> Result<(), Error> {
        self.members.iter_mut().try_for_each(|member| member.set_teacher(runtime, parent))
    }

    /// Whether a loss is the divergence from a teacher.
    pub fn has_teacher(&self) -> bool {
        self.members.iter().any(Member::has_teacher)
    }

    /// The documents of a slice; none of a rung that is not there.
    pub fn slice(&self, slice: RungSlice) -> &[usize] {
        match slice {
            RungSlice::Rung(rung) => self.slices.get(rung).map_or(&[], Vec::as_slice),
            RungSlice::Confirm => &self.confirm,
        }
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

    /// Some documents by members: each member with the places of its own documents in it, in their order.
    pub fn by_member<'a>(&'a self, documents: &'a [usize]) -> impl Iterator<Item = (&'a Member, Vec<usize>)> {
        documents.chunk_by(|a, b| self.member_of(*a) == self.member_of(*b)).filter_map(|run| {
            let place = self.member_of(*run.first()?);
            let start = self.starts.get(place)?;
            Some((self.members.get(place)?, run.iter().map(|document| document - start).collect()))
        })
    }

    /// The members, each with those of its documents that the search sees, by their places in it.
    pub fn searched(&self) -> impl Iterator<Item = (&Member, Vec<usize>)> {
        self.members.iter().zip(self.starts.windows(2)).map(|(member, bounds)| {
            let own = self.slices.iter().flatten().filter(|document| (bounds[0]..bounds[1]).contains(document));
            (member, own.map(|document| document - bounds[0]).collect())
        })
    }

    /// The place of the member that has a document.
    fn member_of(&self, document: usize) -> usize {
        member_of(&self.starts, document)
    }

    /// Metric and loss of these documents, in their order.
    ///
    /// # Errors
    /// What the model and the task say; [`Error::Objective`] when the loss cannot be had.
    pub fn evaluate(&self, model: &mut RecipeModel, documents: &[usize]) -> Result<DocumentValues, Error> {
        let mut values = DocumentValues::default();
        for (member, documents) in self.by_member(documents) {
            values.extend(&member.evaluate(model, &self.settings.metric, &documents)?);
        }
        Ok(values)
    }

    /// The score of a set of documents from their values, in the order of [`Self::slices_of`]; of a group with the
    /// score of each of its tasks.
    pub fn score(&self, set: DocumentSet, values: DocumentValues) -> TaskScore {
        let mut subjects = Vec::new();
        if self.members.len() > 1 {
            let documents = self.slices_of(set).flat_map(|(_, documents)| documents);
            let mut by_member = vec![Vec::new(); self.members.len()];
            for (document, value) in documents.zip(&values.metric) {
                by_member[self.member_of(*document)].push(*value);
            }
            let named = self.members.iter().zip(by_member).filter(|(_, values)| !values.is_empty());
            subjects.extend(named.map(|(member, values)| SubjectScore::of(member.prepared.name(), &values)));
        }
        TaskScore { subjects, ..TaskScore::of(&self.name, values.metric, &values.loss) }
    }
}
