//! From texts to token requests that fit a window.
//!
//! A window of L tokens sees L tokens and predicts one more, so context and continuation together may have L + 1: the
//! last token is predicted and not seen. Where a prompt is longer, it loses its beginning, the begin token included, as
//! in the harness.

use std::sync::Arc;

use crate::error::Error;
use crate::model::ScoreRequest;
use crate::tokenizer::{ModelTokenizer, TokenPair};

/// Turns one document's texts into requests; errors name the document.
pub(crate) struct RequestBuilder<'a> {
    pub tokenizer: &'a ModelTokenizer,
    /// The task's name, for errors.
    pub task: &'a str,
    /// The document's place, for errors.
    pub document: usize,
    /// The window in tokens.
    pub max_length: usize,
    /// The context of the request before, its tokens, and those of them that were kept: choices of one question share
    /// it.
    last: CachedContext,
}

/// A context that was cut into tokens.
#[derive(Default)]
struct CachedContext {
    text: String,
    tokens: Vec<u32>,
    /// The last of them, as far as they fit the window.
    kept: Arc<[u32]>,
}

impl<'a> RequestBuilder<'a> {
    /// A builder for the requests of one document.
    pub(crate) fn new(tokenizer: &'a ModelTokenizer, task: &'a str, document: usize, max_length: usize) -> Self {
        Self { tokenizer, task, document, max_length, last: CachedContext::default() }
    }

    /// ln p(continuation | context), of the last tokens that fit. A continuation that merges into the context's last
    /// token has no token of its own.
    ///
    /// # Errors
    /// [`Error::EmptyContext`], [`Error::EmptyContinuation`] and [`Error::ContinuationTooLong`]; what the tokenizer
    /// refuses.
    pub(crate) fn score(&mut self, context: &str, continuation: &str) -> Result<ScoreRequest, Error> {
        let (task, document) = (|| self.task.to_owned(), self.document);
        let scored = self.encoded(context, continuation)?;
        if self.last.tokens.is_empty() {
            return Err(Error::EmptyContext { task: task(), document });
        }
        if continuation.is_empty() {
            return Err(Error::EmptyContinuation { task: task(), document });
        }
        let (tokens, max_length) = (scored.len(), self.max_length);
        if tokens > max_length {
            return Err(Error::ContinuationTooLong { task: task(), document, tokens, max_length });
        }
        // The model sees all but the last token, so one more than the window may be kept.
        let all = &self.last.tokens;
        let kept = &all[all.len().saturating_sub(max_length + 1 - tokens)..];
        if *self.last.kept != *kept {
            self.last.kept = kept.into();
        }
        Ok(ScoreRequest { context: Arc::clone(&self.last.kept), continuation: scored.into() })
    }

    /// The continuation's tokens; the context's are in `last`.
    fn encoded(&mut self, context: &str, continuation: &str) -> Result<Vec<u32>, Error> {
        if context.is_empty() {
            let TokenPair { context: tokens, continuation } = self.tokenizer.encode_pair(context, continuation)?;
            self.last = CachedContext { tokens, ..CachedContext::default() };
            return Ok(continuation);
        }
        if self.last.text != context {
            let (text, tokens) = (context.to_owned(), self.tokenizer.encode_context(context)?);
            self.last = CachedContext { text, tokens, ..CachedContext::default() };
        }
        self.tokenizer.encode_continuation(context, self.last.tokens.len(), continuation)
    }

    /// ln p of all tokens of `context` and `continuation` as one text but the first, of the last tokens that fit. A
    /// text of one token has an empty continuation: nothing of it is predicted.
    ///
    /// # Errors
    /// [`Error::EmptyContext`] for a text without tokens; what the tokenizer refuses.
    pub(crate) fn whole(&mut self, context: &str, continuation: &str) -> Result<ScoreRequest, Error> {
        let tokens = self.tokenizer.encode(&format!("{context}{continuation}"))?;
        // The model sees all but the last token, so one more than the window may be kept.
        let kept = &tokens[tokens.len().saturating_sub(self.max_length.saturating_add(1))..];
        let Some((first, rest)) = kept.split_first() else {
            return Err(Error::EmptyContext { task: self.task.to_owned(), document: self.document });
        };
        if *self.last.kept != [*first] {
            self.last.kept = [*first].into();
        }
        Ok(ScoreRequest { context: Arc::clone(&self.last.kept), continuation: rest.into() })
    }

    /// ln p of a whole text, in windows that predict each token once.
    pub(crate) fn rolling(&self, text: &str) -> Result<Vec<ScoreRequest>, Error> {
        let tokens = self.tokenizer.encode(text)?;
        Ok(windows(&tokens, self.tokenizer.prefix_token(), self.max_length))
    }

    /// The context of a generation: the last tokens that leave room for the answer.
    ///
    /// # Errors
    /// [`Error::NoRoomToGenerate`] where the answer alone fills the window, [`Error::EmptyContext`] for no token.
    pub(crate) fn generation(&self, context: &str, max_new_tokens: usize) -> Result<Arc<[u32]>, Error> {
        let Some(room) = self.max_length.checked_sub(max_new_tokens).filter(|&room| room > 0) else {
            let (task, max_length) = (self.task.to_owned(), self.max_length);
            return Err(Error::NoRoomToGenerate { task, max_new_tokens, max_length });
        };
        let tokens = self.tokenizer.encode(context)?;
        if tokens.is_empty() {
            return Err(Error::EmptyContext { task: self.task.to_owned(), document: self.document });
        }
        Ok(tokens[tokens.len().saturating_sub(room)..].into())
    }
}

/// The first window begins after `prefix`; each later one predicts as many tokens as are left and fit, and begins with
/// the tokens before them that fit as well.
fn windows(tokens: &[u32], prefix: u32, max_length: usize) -> Vec<ScoreRequest> {
    let max_length = max_length.max(1);
    let mut requests = Vec::new();
    let mut predicted = 0;
    while predicted < tokens.len() {
        let count = max_length.min(tokens.len() - predicted);
        let end = predicted + count;
        let context: Arc<[u32]> = if predicted == 0 {
            Arc::new([prefix])
        } else {
            // `count` new tokens, of which the last is not seen, leave room for so many old ones.
            tokens[end - max_length - 1..predicted].into()
        };
        requests.push(ScoreRequest { context, continuation: tokens[predicted..end].into() });
        predicted = end;
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// `tests/golden/units.json`: the harness's `make_disjoint_window` over `get_rolling_token_windows`.
    #[test]
    fn windows_agree_with_the_harness() -> Result<(), Box<dyn std::error::Error>> {
        let units: Value = serde_json::from_str(include_str!("../tests/golden/units.json"))?;
        for case in units["rolling"].as_array().ok_or("no list")?.iter().filter(|case| case["ctx"] == 1) {
            let n = u32::try_from(case["n"].as_u64().ok_or("n")?)?;
            let max_length = usize::try_from(case["max"].as_u64().ok_or("max")?)?;
            let tokens: Vec<u32> = (0..n).collect();
            let signed =
                |tokens: &[u32]| tokens.iter().map(|&token| i64::from(token.cast_signed())).collect::<Vec<_>>();
            let ours: Vec<Value> = windows(&tokens, u32::MAX, max_length)
                .iter()
                .map(|window| json!([signed(&window.context), signed(&window.continuation)]))
                .collect();
            assert_eq!(Value::from(ours), case["disjoint"], "{n} tokens, window {max_length}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn windows_predict_each_token_once_and_fit(n in 0_u32..200, max_length in 1_usize..40) {
            let tokens: Vec<u32> = (0..n).collect();
            let windows = windows(&tokens, 999, max_length);
            let predicted: Vec<u32> = windows.iter().flat_map(|window| window.continuation.to_vec()).collect();
            prop_assert_eq!(predicted, tokens);
            for window in windows {
                prop_assert!(!window.context.is_empty());
                prop_assert!(window.context.len() + window.continuation.len() - 1 <= max_length);
            }
        }
    }
}
