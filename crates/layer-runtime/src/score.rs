//! Log-likelihoods of continuations: only rows whose next token is scored reach the head.

use task_eval::{Score, ScoreRequest};

use crate::Error;
use crate::engine::{Engine, LmHead, Target};
use crate::forward::Execution;
use crate::pack::Pack;

/// A token of a continuation, in its pack.
struct ScoredToken {
    /// The row whose logits predict it.
    row: u32,
    /// Its id.
    token: u32,
    /// Its request in the call.
    request: usize,
}

impl<E: Engine> Execution<'_, E> {
    /// The score of each request. Sequences that begin alike are computed once up to where they part: the choices of
    /// a question share its context, and choices of a single token share everything.
    ///
    /// # Errors
    /// As of [`Executor::score`](crate::executor::Executor::score).
    pub fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error> {
        let shared = &self.loaded.shared;
        let inputs = self.recipe.inputs(requests)?;
        let sequences: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut scores = vec![Score { log_likelihood: 0.0, greedy: true }; requests.len()];
        let outer = self.loaded.outer_layers(self.recipe)?;
        let wanted = |pack: &Pack| {
            let mut rows: Vec<u32> = scored_tokens(pack, requests).iter().map(|token| token.row).collect();
            rows.dedup();
            Some(rows)
        };
        let found = self.each_pack(&outer, &self.recipe.batches(&sequences)?, &wanted, &|pack, state| {
            let tokens = scored_tokens(pack, requests);
            let found = shared.forward(|| outer.head.score(state, &targets(&tokens), shared.threads()))?;
            Ok(tokens.into_iter().map(|token| token.request).zip(found).collect::<Vec<_>>())
        })?;
        for (request, score) in found.into_iter().flatten() {
            let sum = &mut scores[request];
            sum.log_likelihood += f64::from(score.log_probability);
            sum.greedy &= score.greedy;
        }
        Ok(scores)
    }
}

/// The scored tokens of a pack, by row.
fn scored_tokens(pack: &Pack, requests: &[ScoreRequest]) -> Vec<ScoredToken> {
    let mut all = Vec::new();
    for (index, &request) in pack.members.iter().enumerate() {
        let ScoreRequest { context, continuation } = &requests[request];
        let rows = pack.trie.sequence(index);
        let predicting = rows[context.len() - 1..].iter();
        all.extend(predicting.zip(continuation.iter()).map(|(&row, &token)| ScoredToken { row, token, request }));
    }
    all.sort_by_key(|token| token.row);
    all
}

/// The tokens as targets, each with the index of its row among the wanted rows.
fn targets(tokens: &[ScoredToken]) -> Vec<Target> {
    let (mut place, mut last) = (0, tokens.first().map_or(0, |token| token.row));
    let target = |scored: &ScoredToken| {
        place += u32::from(scored.row != last);
        last = scored.row;
        Target { row: place, token: scored.token }
    };
    tokens.iter().map(target).collect()
}
