//! Calibration text: documents of the tasks with their right answers.

use task_eval::{Limit, ModelTokenizer, Options, PreparedTask};

use super::member::Member;
use super::task::EvaluatedTask;
use super::{EvaluatorSettings, RecipeEvaluator, Split};
use crate::calibration::right_answers;
use crate::objectives::DocumentLoss;
use crate::{Error, Study};

/// What `bridge.split` says for the documents that the search sees.
const SEARCH: &str = "search";

/// A calibration text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskText {
    /// The place of its task among those of the evaluator.
    pub task: usize,
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
}

impl RecipeEvaluator {
    /// Token ids of at most `per_task` search documents of each task with their right answers: calibration text for
    /// the baselines.
    #[must_use]
    pub fn calibration(&self, per_task: usize) -> Vec<Vec<u32>> {
        let documents = |task: &EvaluatedTask| self.right_answers_of_search(task, per_task, usize::MAX);
        self.tasks.iter().flat_map(documents).filter(|tokens| tokens.len() > 1).collect()
    }

    /// Token ids of search documents with their right answers: about so many tokens, in equal shares of the tasks.
    #[must_use]
    pub fn calibration_tokens(&self, tokens: usize) -> Vec<Vec<u32>> {
        let share = tokens.div_ceil(self.tasks.len().max(1));
        let documents = |task: &EvaluatedTask| self.right_answers_of_search(task, usize::MAX, share);
        self.tasks.iter().flat_map(documents).collect()
    }

    /// Calibration text for the bridges of a study: about as many tokens as it says, in equal shares of the tasks. Each
    /// task's documents are those of the split that the study names; where it names none, those of the training split
    /// that the task's file names, and what this lacks, those that the search sees. Never are they those of the
    /// confirmation or of the test. A task with fewer documents gives all of them; a group's tasks have equal shares.
    ///
    /// # Errors
    /// What task-eval says of a split that cannot be read.
    pub(crate) fn bridge_texts(&self, study: &Study, text: &ModelTokenizer) -> Result<Vec<TaskText>, Error> {
        let settings = EvaluatorSettings::of_study(study, Split::Validation, DocumentLoss::Unread);
        let share = study.bridge.tokens.div_ceil(self.tasks.len().max(1));
        let mut texts = Vec::new();
        for (place, task) in self.tasks.iter().enumerate() {
            let share = share.div_ceil(task.members.len());
            for (Member { prepared, .. }, searched) in task.searched() {
                let named = study.bridge.split.as_deref().or(prepared.config().training_split.as_deref());
                // A task that is judged on its training split has the documents of the confirmation in there.
                let own = match named.filter(|split| *split != SEARCH && !task.settings.judges_on(split)) {
                    Some(split) => {
                        // A document has a token at least.
                        let (split, limit) = (Some(split.to_owned()), Some(Limit::Count(share)));
                        let options = Options { split, limit, samples: None, ..settings.options(&task.settings) };
                        Some(PreparedTask::new(prepared.config(), text, &options)?)
                    }
                    None => None,
                };
                let of_split = |own: &PreparedTask| right_answers(own, 0..own.len(), self.window(), share);
                let mut found = own.as_ref().map_or_else(Vec::new, of_split);
                // A split that the study names is all; what a training split lacks, the search documents give.
                if own.is_none() || study.bridge.split.is_none() {
                    let left = share.saturating_sub(found.iter().map(Vec::len).sum());
                    found.extend(right_answers(prepared, searched, self.window(), left));
                }
                texts.extend(found.into_iter().map(|tokens| TaskText { task: place, tokens }));
            }
        }
        Ok(texts)
    }

    /// Search documents of a task with their right answers, so many documents or tokens at most: of a group in equal
    /// shares of its tasks.
    fn right_answers_of_search(&self, task: &EvaluatedTask, documents: usize, tokens: usize) -> Vec<Vec<u32>> {
        let share = |all: usize| all.div_ceil(task.members.len());
        let of_member = |(member, searched): (&Member, Vec<usize>)| {
            let searched = searched.into_iter().take(share(documents));
            right_answers(&member.prepared, searched, self.window(), share(tokens))
        };
        task.searched().flat_map(of_member).collect()
    }

    /// How many tokens the models see at once.
    fn window(&self) -> usize {
        let window = self.runtime.config().max_position_embeddings;
        self.max_length.map_or(window, |length| length.min(window))
    }
}
