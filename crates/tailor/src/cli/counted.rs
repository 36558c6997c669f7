//! A server's model that counts its answers, so that one can see how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use recipe_search::WorkDone;
use task_eval::{CompletionsModel, GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};

/// A model that is asked as many requests at a time as go into one message, which is what it would send anyway.
pub(super) struct Counted {
    model: CompletionsModel,
    /// Requests in a message.
    batch: usize,
    counts: Arc<Counts>,
}

/// Requests since the model was made.
#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Counted {
    /// A model whose messages have `batch` requests.
    pub fn new(model: CompletionsModel, batch: usize) -> Self {
        Self { model, batch: batch.max(1), counts: Arc::default() }
    }

    /// What tells its work so far, in requests.
    pub fn work(&self) -> impl Fn() -> WorkDone + Send + Sync + 'static {
        let counts = Arc::clone(&self.counts);
        move || WorkDone { asked: counts.asked.load(Relaxed), done: counts.answered.load(Relaxed) }
    }

    /// The answers to all requests, message by message.
    fn ask<R, A>(
        &mut self,
        requests: &[R],
        answers: impl Fn(&mut CompletionsModel, &[R]) -> Result<Vec<A>, ModelError>,
    ) -> Result<Vec<A>, ModelError> {
        self.counts.asked.fetch_add(requests.len() as u64, Relaxed);
        let mut all = Vec::with_capacity(requests.len());
        for message in requests.chunks(self.batch) {
            all.extend(answers(&mut self.model, message)?);
            self.counts.answered.fetch_add(message.len() as u64, Relaxed);
        }
        Ok(all)
    }
}

impl LanguageModel for Counted {
    fn max_length(&self) -> usize {
        self.model.max_length()
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        self.ask(requests, CompletionsModel::score)
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        self.ask(requests, |model, requests| model.generate(requests))
    }
}
