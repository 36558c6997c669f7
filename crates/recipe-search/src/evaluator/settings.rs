//! What an evaluator scores on.

use std::path::PathBuf;
use std::sync::Arc;

use task_eval::{CodeExecution, Components, Download, Limit, Options};

use crate::objectives::DocumentLoss;
use crate::{EvaluationSettings, Study, TaskSettings};

/// The split that an evaluator reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// What the search may see, in part.
    #[default]
    Validation,
    /// What only the report may see.
    Test,
}

/// Which tasks an evaluator scores on, and which of their documents.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatorSettings {
    /// The tasks.
    pub tasks: Vec<TaskSettings>,
    /// How their documents become prompts. Whether there is a BOS token is the tokenizer's.
    pub evaluation: EvaluationSettings,
    /// Folders with task files.
    pub include: Vec<PathBuf>,
    /// What the task files can name beside our metrics and filters.
    pub components: Arc<Components>,
    /// Whether data sets that are nowhere here are downloaded.
    pub download: bool,
    /// Leave to run programs that a model writes, and where.
    pub code_execution: Option<CodeExecution>,
    /// The split whose documents are read.
    pub split: Split,
    /// The seed of the documents' order.
    pub seed: u64,
    /// Rising fractions of the search documents, from above 0 to 1, at which these are cut; or, where the last one is
    /// above 1, rising numbers of documents of each task, also of each in a group.
    pub rungs: Vec<f64>,
    /// The share of the documents, from 0 to 0.9, that is kept for the confirmation.
    pub confirm_share: f64,
    /// Into how many parts the documents of a rung are cut that are scored by themselves, at least 1.
    pub parts: usize,
    /// What stands for the loss of a document.
    pub loss: DocumentLoss,
}

impl EvaluatorSettings {
    /// All validation documents of some tasks at once.
    #[must_use]
    pub fn new(tasks: Vec<TaskSettings>) -> Self {
        Self {
            tasks,
            evaluation: EvaluationSettings::default(),
            include: Vec::new(),
            components: Arc::default(),
            download: false,
            code_execution: None,
            split: Split::Validation,
            seed: 0,
            rungs: vec![1.0],
            confirm_share: 0.0,
            parts: 1,
            loss: DocumentLoss::Unread,
        }
    }

    /// What a study says: of the validation split, cut for the search, with what its objective reads; or of the
    /// whole test split.
    #[must_use]
    pub fn of_study(study: &Study, split: Split, loss: DocumentLoss) -> Self {
        let all = Self {
            evaluation: study.evaluation.clone(),
            include: study.include.clone(),
            components: Arc::clone(&study.tables().task_components),
            download: study.download,
            code_execution: study.allow_code_execution.then(|| CodeExecution { sandbox: study.code_sandbox.clone() }),
            split,
            seed: study.seed,
            ..Self::new(study.tasks.clone())
        };
        match split {
            Split::Test => all,
            Split::Validation => {
                let search = &study.search;
                let (rungs, confirm_share) = (search.rungs.clone(), search.confirm_share);
                Self { rungs, confirm_share, parts: search.parts, loss, ..all }
            }
        }
    }

    /// How `task_eval` is to prepare a task.
    pub(super) fn options(&self, task: &TaskSettings) -> Options {
        let (limit, samples, split) = match self.split {
            Split::Validation => (task.limit, task.samples.clone(), &task.validation),
            Split::Test => (task.test_limit, None, &task.test),
        };
        self.evaluation.options(Options {
            num_fewshot: task.num_fewshot,
            limit: limit.map(Limit::Count),
            samples,
            split: Some(split.clone()),
            download: self.download.then(Download::from_environment),
            code_execution: self.code_execution.clone(),
            ..Options::default()
        })
    }
}
