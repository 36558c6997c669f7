//! ln p of continuations: only what is scored reaches the head.

use task_eval::{Score, ScoreRequest};

use crate::engine::Target;
use crate::plan::Pack;
use crate::{Error, RecipeModel};

/// One token of a request, in its pack.
struct Asked {
    /// The row whose logits predict it.
    row: u32,
    token: u32,
    request: usize,
}

impl RecipeModel {
    /// The score of each request. Sequences that begin alike are computed once up to where they part, so the choices of a
    /// question share its context, and those of a single token share everything.
    pub(crate) fn score_requests(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error> {
        let inputs = self.inputs(requests)?;
        let sequences: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut scores = vec![Score { log_likelihood: 0.0, greedy: true }; requests.len()];
        let ends = self.shared().ends(&self.recipe)?;
        let wanted = |pack: &Pack| {
            let mut rows: Vec<u32> = asked(pack, requests).iter().map(|asked| asked.row).collect();
            rows.dedup();
            Some(rows)
        };
        let found = self.each_pack(&ends, &self.plan(&sequences)?, &wanted, &|pack, state| {
            let asked = asked(pack, requests);
            let found = self.shared().forward(|| ends.ending.score(state, &targets(&asked), self.threads()))?;
            Ok(asked.into_iter().map(|asked| asked.request).zip(found).collect::<Vec<_>>())
        })?;
        for (request, score) in found.into_iter().flatten() {
            let sum = &mut scores[request];
            sum.log_likelihood += f64::from(score.log_probability);
            sum.greedy &= score.greedy;
        }
        Ok(scores)
    }

    /// What the model sees of each request: all but the last token.
    pub(crate) fn inputs(&self, requests: &[ScoreRequest]) -> Result<Vec<Vec<u32>>, Error> {
        let (max_length, vocabulary) = (self.shared().config().max_position_embeddings, self.vocabulary());
        let input = |(index, request): (usize, &ScoreRequest)| {
            let Some((&last, before)) = request.continuation.split_last() else { return Err(Error::Empty { index }) };
            if request.context.is_empty() {
                return Err(Error::Empty { index });
            }
            if last as usize >= vocabulary {
                return Err(Error::UnknownToken { index, token: last, vocabulary });
            }
            let length = request.context.len() + before.len();
            if length > max_length {
                return Err(Error::TooLong { index, length, max_length });
            }
            Ok([&request.context, before].concat())
        };
        requests.iter().enumerate().map(input).collect()
    }
}

/// The tokens asked for in a pack, by row.
fn asked(pack: &Pack, requests: &[ScoreRequest]) -> Vec<Asked> {
    let mut all = Vec::new();
    for (index, &request) in pack.members.iter().enumerate() {
        let ScoreRequest { context, continuation } = &requests[request];
        let rows = pack.trie.sequence(index);
        let predicting = rows[context.len() - 1..].iter();
        all.extend(predicting.zip(continuation.iter()).map(|(&row, &token)| Asked { row, token, request }));
    }
    all.sort_by_key(|asked| asked.row);
    all
}

/// The targets by the places of their rows among the rows asked for.
fn targets(asked: &[Asked]) -> Vec<Target> {
    let (mut place, mut last) = (0, asked.first().map_or(0, |asked| asked.row));
    let target = |asked: &Asked| {
        place += u32::from(asked.row != last);
        last = asked.row;
        Target { row: place, token: asked.token }
    };
    asked.iter().map(target).collect()
}
