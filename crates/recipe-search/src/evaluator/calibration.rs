//! Calibration text: documents of the tasks with their right answers.

use task_eval::{Limit, ModelTokenizer, Options, PreparedTask};

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
        let documents = |task: &EvaluatedTask| -> Vec<Vec<u32>> {
            let searched = task.slices.iter().flatten().take(per_task).copied();
            right_answers(&task.prepared, searched, self.window(), usize::MAX)
        };
        self.tasks.iter().flat_map(documents).filter(|tokens| tokens.len() > 1).collect()
    }

    /// Token ids of search documents with their right answers: about so many tokens, in equal shares of the tasks.
    #[must_use]
    pub fn calibration_tokens(&self, tokens: usize) -> Vec<Vec<u32>> {
        let share = tokens.div_ceil(self.tasks.len().max(1));
        let documents = |task: &EvaluatedTask| {
            right_answers(&task.prepared, task.slices.iter().flatten().copied(), self.window(), share)
        };
        self.tasks.iter().flat_map(documents).collect()
    }

    /// Calibration text for the bridges of a study: about as many tokens as it says, in equal shares of the tasks. Each
    /// task's documents are those of the split that the study names; where it names none, those of the training split
    /// that the task's file names, and what this lacks, those that the search sees. Never are they those of the
    /// confirmation or of the test. A task with fewer documents gives all of them.
    ///
    /// # Errors
    /// What task-eval says of a split that cannot be read.
    pub(crate) fn bridge_texts(&self, study: &Study, text: &ModelTokenizer) -> Result<Vec<TaskText>, Error> {
        let settings = EvaluatorSettings::of_study(study, Split::Validation, DocumentLoss::Unread);
        let share = study.bridge.tokens.div_ceil(self.tasks.len().max(1));
        let mut texts = Vec::new();
        for (place, task) in self.tasks.iter().enumerate() {
            let named = study.bridge.split.as_deref().or(task.prepared.config().training_split.as_deref());
            // A task that is judged on its training split has the documents of the confirmation in there.
            let own = named.filter(|split| *split != SEARCH && !task.settings.judges_on(split));
            let own = match own {
                Some(split) => {
                    // A document has a token at least.
                    let (split, limit) = (Some(split.to_owned()), Some(Limit::Count(share)));
                    let options = Options { split, limit, ..settings.options(&task.settings) };
                    Some(PreparedTask::new(task.prepared.config(), text, &options)?)
                }
                None => None,
            };
            let of_split = |prepared: &PreparedTask| right_answers(prepared, 0..prepared.len(), self.window(), share);
            let mut found = own.as_ref().map_or_else(Vec::new, of_split);
            // A split that the study names is all; what a training split lacks, the search documents give.
            if own.is_none() || study.bridge.split.is_none() {
                let left = share.saturating_sub(found.iter().map(Vec::len).sum());
                let searched = task.slices.iter().flatten().copied();
                found.extend(right_answers(&task.prepared, searched, self.window(), left));
            }
            texts.extend(found.into_iter().map(|tokens| TaskText { task: place, tokens }));
        }
        Ok(texts)
    }

    /// How many tokens the models see at once.
    fn window(&self) -> usize {
        self.runtime.config().max_position_embeddings
    }
}
