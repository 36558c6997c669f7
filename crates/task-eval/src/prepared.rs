//! A task made ready once and scored many times.
use crate::config::TaskConfig;
use crate::error::Error;
use crate::model::LanguageModel;
use crate::options::Options;
use crate::result::TaskResult;
use crate::tokens::TokenText;

/// A task made ready once (documents, shots, prompts, tokens) and scored many times.
#[derive(Debug, Clone)]
pub struct PreparedTask {
    name: String,
    len: usize,
}

impl PreparedTask {
    /// Reads the documents, draws the shots, renders and tokenises the prompts.
    pub fn new(task: &TaskConfig, _text: &TokenText, _options: &Options) -> Result<Self, Error> {
        Err(Error::NoSplit { task: task.task.clone() })
    }
    /// The task's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The number of documents.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no document; never true of a prepared task.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Scores every document.
    pub fn evaluate(&self, model: &mut dyn LanguageModel) -> Result<TaskResult, Error> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.evaluate_documents(model, &all)
    }
    /// Scores some documents, named by their places from 0.
    pub fn evaluate_documents(&self, _model: &mut dyn LanguageModel, _documents: &[usize]) -> Result<TaskResult, Error> {
        Err(Error::NoSplit { task: self.name.clone() })
    }
}
