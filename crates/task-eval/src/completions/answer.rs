//! What a completions server answers, and the numbers in it.

use std::collections::HashMap;

use serde::Deserialize;

use super::error::CompletionsError;
use crate::model::{Score, ScoreRequest};

/// What stands before a token's id where vLLM writes ids in place of texts.
const ID_PREFIX: &str = "token_id:";

/// The body of an answer: one choice for each prompt, in any order.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    choices: Vec<Choice>,
}

/// The answer to one prompt.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    /// The place of its prompt in the request.
    #[serde(default)]
    index: usize,
    /// `stop`, or `length` where the tokens were used up.
    finish_reason: Option<String>,
    logprobs: Option<LogProbabilities>,
    /// vLLM's, with `return_token_ids`.
    token_ids: Option<Vec<u32>>,
}

/// One entry per token, in the older format of OpenAI's that completions still have; `content` is llama.cpp's.
#[derive(Debug, Deserialize)]
struct LogProbabilities {
    /// The tokens' texts, or `token_id:ID`.
    tokens: Option<Vec<String>>,
    /// ln p of each token after those before it; null for the first.
    token_logprobs: Option<Vec<Option<f64>>>,
    /// The most likely tokens at each place, with their ln p.
    top_logprobs: Option<Vec<Option<HashMap<String, f64>>>>,
    content: Option<Vec<Content>>,
}

/// llama.cpp's entry for one token.
#[derive(Debug, Deserialize)]
struct Content {
    id: Option<u32>,
}

impl Answer {
    /// One choice for each of `asked` prompts; else the number of prompts that have one.
    pub(super) fn in_order(self, asked: usize) -> Result<Vec<Choice>, usize> {
        let mut choices = self.choices;
        choices.sort_by_key(|choice| choice.index);
        let complete = choices.iter().map(|choice| choice.index).eq(0..asked);
        if complete { Ok(choices) } else { Err(choices.len()) }
    }
}

impl Choice {
    /// The continuation's part of the prompt's log-probabilities, as the harness's `local-completions` takes it. Where
    /// the harness leaves out the last entry, the generated token, this one counts from the front: a server may have
    /// written none.
    ///
    /// # Errors
    /// Log-probabilities that are missing or are not those of the prompt: the variants of [`CompletionsError`] from
    /// [`NoLogProbabilities`](CompletionsError::NoLogProbabilities) to [`OtherPrompt`](CompletionsError::OtherPrompt).
    pub(super) fn score(&self, url: &str, request: &ScoreRequest) -> Result<Score, CompletionsError> {
        let (start, end) = (request.context.len(), request.context.len() + request.continuation.len());
        self.check_prompt(url, request)?;
        let lists = self.logprobs.as_ref();
        let chosen = lists.and_then(|lists| lists.token_logprobs.as_deref());
        let chosen = of_prompt(url, "token_logprobs", chosen, end)?;
        let best = lists.and_then(|lists| lists.top_logprobs.as_deref());
        let best = of_prompt(url, "top_logprobs", best, end)?;
        let mut score = Score { log_likelihood: 0.0, greedy: true };
        for (place, (chosen, best)) in chosen.iter().zip(best).enumerate().skip(start) {
            let nothing = |field| CompletionsError::NoLogProbability { url: url.to_owned(), field, place };
            let chosen = chosen.ok_or_else(|| nothing("token_logprobs"))?;
            let best = best.as_ref().and_then(|best| best.values().copied().reduce(f64::max));
            score.log_likelihood += chosen;
            score.greedy &= chosen >= best.ok_or_else(|| nothing("top_logprobs"))?;
        }
        Ok(score)
    }

    /// Where the server names the tokens that it scored, they are those that were sent.
    fn check_prompt(&self, url: &str, request: &ScoreRequest) -> Result<(), CompletionsError> {
        let Some(tokens) = self.logprobs.as_ref().and_then(|lists| lists.tokens.as_deref()) else { return Ok(()) };
        if tokens.len() < request.context.len() + request.continuation.len() {
            return Ok(()); // Not the prompt at all; their number will tell.
        }
        let sent = request.context.iter().chain(request.continuation.iter());
        for (place, (&sent, token)) in sent.zip(tokens).enumerate() {
            match token_id(token) {
                Some(scored) if scored != sent => {
                    return Err(CompletionsError::OtherPrompt { url: url.to_owned(), place, sent, scored });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The generated tokens, from whichever field has their ids.
    ///
    /// # Errors
    /// [`CompletionsError::NoTokenIds`] where none has.
    pub(super) fn written(&self, url: &str) -> Result<Vec<u32>, CompletionsError> {
        let lists = self.logprobs.as_ref();
        let named = || -> Option<Vec<u32>> { lists?.tokens.as_ref()?.iter().map(|token| token_id(token)).collect() };
        let listed = || -> Option<Vec<u32>> { lists?.content.as_ref()?.iter().map(|content| content.id).collect() };
        let ids = self.token_ids.clone().or_else(named).or_else(listed);
        ids.ok_or_else(|| CompletionsError::NoTokenIds { url: url.to_owned() })
    }

    /// Whether the model itself came to an end, and did not just use up its tokens.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.as_deref() == Some("stop")
    }
}

/// A list with one entry per token of the prompt and at most one more, for the generated token.
fn of_prompt<'a, T>(
    url: &str,
    field: &'static str,
    list: Option<&'a [T]>,
    tokens: usize,
) -> Result<&'a [T], CompletionsError> {
    let list = list.ok_or_else(|| CompletionsError::NoLogProbabilities { url: url.to_owned(), field })?;
    match list.get(..tokens) {
        Some(prompt) if list.len() <= tokens + 1 => Ok(prompt),
        _ => Err(CompletionsError::WrongLength { url: url.to_owned(), field, tokens, found: list.len() }),
    }
}

/// The id in `token_id:ID`; None for a token's text.
fn token_id(token: &str) -> Option<u32> {
    token.strip_prefix(ID_PREFIX)?.parse().ok()
}
