//! Calibration text: documents of the tasks with their right answers.

use task_eval::{Limit, ModelTokenizer, Options, PreparedTask};

use super::task::EvaluatedTask;
use super::{EvaluatorSettings, RecipeEvaluator, Split};
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
            let searched = task.slices.iter().flatten().take(per_task);
            self.texts(&task.prepared, searched.copied()).collect()
        };
        self.tasks.iter().flat_map(documents).filter(|tokens| tokens.len() > 1).collect()
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
            // A split that the study names is all; what a training split lacks, the search documents give.
            let searched = if own.is_some() && study.bridge.split.is_some() { 0 } else { usize::MAX };
            let searched = task.slices.iter().flatten().copied().take(searched);
            let first = own.iter().flat_map(|prepared| self.texts(prepared, 0..prepared.len()));
            let found = first.chain(self.texts(&task.prepared, searched));
            let mut left = share;
            for tokens in found {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(tokens.len());
                texts.push(TaskText { task: place, tokens });
            }
        }
        Ok(texts)
    }

    /// The tokens of documents with their right answers, those that have one, as far as the model's window goes.
    fn texts<'a>(
        &'a self,
        task: &'a PreparedTask,
        documents: impl Iterator<Item = usize> + 'a,
    ) -> impl Iterator<Item = Vec<u32>> + 'a {
        let window = self.runtime.config().max_position_embeddings;
        let texts = documents.filter_map(|document| task.gold_tokens(document));
        texts
            .map(move |mut tokens| {
                tokens.truncate(window);
                tokens
            })
            .filter(|tokens| !tokens.is_empty())
    }
}
