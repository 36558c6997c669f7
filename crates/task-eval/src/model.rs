//! The seam to whatever runs a model: token ids in, numbers out.

use std::sync::Arc;

/// What goes wrong inside a model; the evaluator hands it on as the source of [`Error::Model`](crate::Error::Model).
pub type ModelError = Box<dyn std::error::Error + Send + Sync>;

/// How likely is this continuation after this context?
///
/// The evaluator has already truncated: the context is not empty, and
/// `context.len() + continuation.len() - 1 <= max_length()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// The tokens given.
    pub context: Arc<[u32]>,
    /// The tokens whose likelihood is asked for; at least one.
    pub continuation: Arc<[u32]>,
}

/// The answer to a [`ScoreRequest`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The sum of ln p over the continuation's tokens, each given everything before it.
    pub log_likelihood: f64,
    /// Whether each token of the continuation was the most likely one (the lowest id wins a tie).
    pub greedy: bool,
}

/// What does the model write after this context?
#[derive(Clone)]
pub struct GenerateRequest<'a> {
    /// The tokens given; `context.len() + max_new_tokens <= max_length()`.
    pub context: Arc<[u32]>,
    /// At most so many tokens are wanted.
    pub max_new_tokens: usize,
    /// Called with all new tokens so far, after each one; `true` ends this request. The last token stays in the
    /// answer.
    pub stop: &'a (dyn Fn(&[u32]) -> bool + Sync),
}

impl std::fmt::Debug for GenerateRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenerateRequest")
            .field("context", &self.context)
            .field("max_new_tokens", &self.max_new_tokens)
            .finish_non_exhaustive()
    }
}

/// What runs a model: token ids in, numbers out.
///
/// Laws: (1) one answer per request, in the order of the requests; (2) an answer depends on its own request alone, not
/// on the others of the call; (3) an error means that no answer of the call counts: the evaluation ends with it.
///
/// Requests of one document follow each other and share their context's [`Arc`], so that an implementation can compute
/// shared prefixes once.
///
/// A whole model, which knows how frequent each token is and nothing of the context:
///
/// ```
/// use task_eval::{LanguageModel, ModelError, Score, ScoreRequest};
///
/// struct Unigram {
///     log_probabilities: Vec<f64>,
/// }
///
/// impl Unigram {
///     fn most_likely(&self) -> u32 {
///         let best = (0..self.log_probabilities.len()).rev().max_by(|&a, &b| {
///             self.log_probabilities[a].total_cmp(&self.log_probabilities[b])
///         });
///         best.unwrap_or(0) as u32
///     }
/// }
///
/// impl LanguageModel for Unigram {
///     fn max_length(&self) -> usize {
///         2048
///     }
///
///     fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
///         let favourite = self.most_likely();
///         let one = |request: &ScoreRequest| {
///             let of = |&token: &u32| self.log_probabilities.get(token as usize).ok_or("no such token");
///             let log_likelihood = request.continuation.iter().map(of).sum::<Result<f64, _>>()?;
///             Ok(Score { log_likelihood, greedy: request.continuation.iter().all(|&token| token == favourite) })
///         };
///         requests.iter().map(one).collect()
///     }
/// }
///
/// let mut model = Unigram { log_probabilities: vec![0.75_f64.ln(), 0.25_f64.ln()] };
/// let request = ScoreRequest { context: [0].into(), continuation: [0, 1].into() };
/// let scores = model.score(&[request])?;
/// assert!((scores[0].log_likelihood - 0.1875_f64.ln()).abs() < 1e-12 && !scores[0].greedy);
/// # Ok::<(), ModelError>(())
/// ```
pub trait LanguageModel {
    /// The most tokens that the model sees at once.
    fn max_length(&self) -> usize;

    /// ln p(continuation | context) for each request, in order.
    ///
    /// # Errors
    /// Whatever keeps the model from answering; no answer of the call counts then.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError>;

    /// The greedy continuation of each context, in order, without the context: it ends with the token at which
    /// [`GenerateRequest::stop`] said so, or after [`GenerateRequest::max_new_tokens`]. By default the model only
    /// scores.
    ///
    /// # Errors
    /// Whatever keeps the model from answering; [`DoesNotGenerate`] by default.
    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        let _ = requests;
        Err(DoesNotGenerate.into())
    }
}

/// The error of a model that only scores when it is asked to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this model only scores and writes nothing; leave out tasks of `output_type: generate_until`")]
pub struct DoesNotGenerate;
