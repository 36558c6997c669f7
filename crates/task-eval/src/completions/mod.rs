//! A model behind an OpenAI-compatible completions server (vLLM, llama-cpp-python, ...).
//!
//! It is a [`LanguageModel`] like any other: token ids go out, log-probabilities and token ids come back. `client.rs`
//! sends and tries again, `answer.rs` reads the answers, `error.rs` says what a server lacks.

mod answer;
mod client;
mod error;

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};
use client::Client;
pub use error::CompletionsError;

/// The harness's seed for servers; nothing is drawn at temperature 0.
const SEED: u64 = 1234;
/// The seam lets a continuation's last token stand outside the window; a server counts it, and the one it generates.
const BEYOND_THE_WINDOW: usize = 2;

/// How a server is asked.
///
/// ```
/// use task_eval::CompletionsOptions;
///
/// let options = CompletionsOptions { max_length: 4096, batch_size: 1, ..CompletionsOptions::default() };
/// assert_eq!(options.retries, 3);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CompletionsOptions {
    /// Sent as `Authorization: Bearer KEY`, if there is one. Not shown by `Debug`.
    pub api_key: Option<String>,
    /// The server's window in tokens: vLLM's `--max-model-len`, llama.cpp's `--ctx-size`. The harness's `max_length`.
    pub max_length: usize,
    /// Prompts in one request; 0 counts as 1.
    pub batch_size: usize,
    /// How long one request may take, from the connection to the answer's last byte.
    pub timeout: Duration,
    /// How often a request is sent again that found nobody, an overloaded server or one that failed.
    pub retries: usize,
    /// The wait before the first of them; each later one is twice as long, up to 10 s.
    pub retry_wait: Duration,
    /// Whether token ids are asked for in vLLM's words (`return_tokens_as_token_ids`, `return_token_ids`). Generation
    /// needs them, and scores are then checked to be those of the tokens sent; false is for a server that refuses
    /// unknown fields.
    pub token_ids: bool,
    /// Tokens generated before it is looked whether the answer has ended; 0 counts as 1. Fewer waste less, more ask
    /// less.
    pub generation_step: usize,
}

impl Default for CompletionsOptions {
    /// The harness's window of 2048 tokens and its 300 s.
    fn default() -> Self {
        Self {
            api_key: None,
            max_length: 2048,
            batch_size: 16,
            timeout: Duration::from_secs(300),
            retries: 3,
            retry_wait: Duration::from_millis(500),
            token_ids: true,
            generation_step: 64,
        }
    }
}

impl std::fmt::Debug for CompletionsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionsOptions")
            .field("api_key", &self.api_key.as_ref().map(|_| "..."))
            .field("max_length", &self.max_length)
            .field("batch_size", &self.batch_size)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("retry_wait", &self.retry_wait)
            .field("token_ids", &self.token_ids)
            .field("generation_step", &self.generation_step)
            .finish()
    }
}

/// A model behind an OpenAI-compatible completions server, asked as the harness's `local-completions` asks.
///
/// Prompts travel as token ids, so the tokenizer that prepares the tasks has to be the served model's. A score is the
/// sum of the echoed prompt's log-probabilities over the continuation; it is greedy if none of the server's best
/// tokens is better (a tie counts as greedy: which token comes first is not in the answer).
///
/// The seam decides on tokens where an answer ends, and a server on texts; so an answer is fetched in steps of
/// [`CompletionsOptions::generation_step`] tokens and cut where [`GenerateRequest::stop`] says so. That needs token
/// ids in the answer; from a server that gives text alone generation is refused with [`CompletionsError::NoTokenIds`].
/// vLLM applies the model's `generation_config.json`, repetition penalty and all, unless started with
/// `--generation-config vllm`.
///
/// ```no_run
/// use task_eval::{CompletionsModel, CompletionsOptions, Options, PreparedTask, TaskLibrary, ModelTokenizer};
///
/// // vllm serve models/base --max-model-len 4096
/// let server = CompletionsOptions { max_length: 4096, ..CompletionsOptions::default() };
/// let mut model = CompletionsModel::new("http://localhost:8000", "models/base", server);
/// let tokenizer = ModelTokenizer::load("models/base")?;
/// let options = Options { max_length: Some(model.window()), ..Options::default() };
/// for task in TaskLibrary::load(&[])?.task("arc_easy")? {
///     let result = PreparedTask::new(&task, &tokenizer, &options)?.evaluate(&mut model)?;
///     println!("{}", task_eval::table(&[result], &[]));
/// }
/// # Ok::<(), task_eval::Error>(())
/// ```
#[derive(Debug)]
pub struct CompletionsModel {
    client: Client,
    /// The name by which the server calls the model.
    model: String,
    options: CompletionsOptions,
}

impl CompletionsModel {
    /// The server at `url` (`http://host:port`, with or without `/v1` or `/v1/completions`), which calls the model
    /// `model`. Nothing is sent yet.
    pub fn new(url: &str, model: &str, options: CompletionsOptions) -> Self {
        Self { client: Client::new(url, &options), model: model.to_owned(), options }
    }

    /// What is left of [`CompletionsOptions::max_length`] for [`LanguageModel::max_length`]: two tokens less, as the
    /// harness has it, since a server counts the last token and the one that it has to generate.
    pub fn window(&self) -> usize {
        self.options.max_length.saturating_sub(BEYOND_THE_WINDOW)
    }

    /// The scores of one request to the server: the prompts are context and continuation, echoed, with one new token.
    fn score_batch(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>, CompletionsError> {
        let prompts: Vec<Vec<u32>> =
            requests.iter().map(|request| [&request.context[..], &request.continuation].concat()).collect();
        let mut body = self.body(prompts, 1);
        body["echo"] = true.into();
        let choices = self.client.complete(&body, requests.len(), &self.options)?;
        choices.iter().zip(requests).map(|(choice, request)| choice.score(self.client.url(), request)).collect()
    }

    /// The answers to some prompts, in as many requests as it takes until all have ended.
    fn generate_batch(&self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, CompletionsError> {
        let mut answers = vec![Vec::new(); requests.len()];
        let mut open: Vec<usize> = (0..requests.len()).filter(|&place| requests[place].max_new_tokens > 0).collect();
        while !open.is_empty() {
            // All prompts of a request share one limit, so the answer nearest to its own sets the step.
            let room = open.iter().map(|&place| requests[place].max_new_tokens - answers[place].len()).min();
            let step = self.options.generation_step.max(1).min(room.unwrap_or(1));
            let prompts = open.iter().map(|&place| [&requests[place].context[..], &answers[place]].concat()).collect();
            let mut body = self.body(prompts, step);
            if self.options.token_ids {
                body["return_token_ids"] = true.into();
            }
            let choices = self.client.complete(&body, open.len(), &self.options)?;
            let mut still_open = Vec::new();
            for (&place, choice) in open.iter().zip(&choices) {
                let written = choice.written(self.client.url())?;
                let (request, answer) = (&requests[place], &mut answers[place]);
                let stopped = written.iter().take(step).any(|&token| {
                    answer.push(token);
                    (request.stop)(answer)
                });
                let ended = stopped || choice.is_finished() || written.len() < step;
                if !ended && answer.len() < request.max_new_tokens {
                    still_open.push(place);
                }
            }
            open = still_open;
        }
        Ok(answers)
    }

    /// What every request says.
    fn body(&self, prompts: Vec<Vec<u32>>, max_tokens: usize) -> Value {
        let mut body = json!({
            "model": self.model,
            "prompt": prompts,
            "temperature": 0,
            "max_tokens": max_tokens,
            "logprobs": 1,
            "seed": SEED,
        });
        if self.options.token_ids {
            body["return_tokens_as_token_ids"] = true.into();
        }
        body
    }
}

impl LanguageModel for CompletionsModel {
    fn max_length(&self) -> usize {
        self.window()
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let mut scores = Vec::with_capacity(requests.len());
        for batch in requests.chunks(self.options.batch_size.max(1)) {
            scores.extend(self.score_batch(batch)?);
        }
        Ok(scores)
    }

    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        let mut answers = Vec::with_capacity(requests.len());
        for batch in requests.chunks(self.options.batch_size.max(1)) {
            answers.extend(self.generate_batch(batch)?);
        }
        Ok(answers)
    }
}
