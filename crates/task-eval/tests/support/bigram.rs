// A model that looks at the last token alone, for tests and examples.

use std::sync::Arc;

use task_eval::{LanguageModel, LogitsModel, ModelError, Score, ScoreRequest};

/// For each token the logits of the one after it. It reads positions from the last to the first, and sees 96 tokens at
/// once.
#[derive(Debug, Clone)]
pub struct Bigram {
    pub after: Vec<Vec<f32>>,
}

#[allow(dead_code)]
impl Bigram {
    /// Finds all tokens equally likely.
    pub fn uniform(vocabulary: usize) -> Self {
        Self { after: vec![vec![0.0; vocabulary]; vocabulary] }
    }

    /// Logits between -4 and 4, in steps of 1/16, by a hash of the seed.
    pub fn random(vocabulary: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut logit = || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % 129) as f32 / 16.0 - 4.0
        };
        Self { after: (0..vocabulary).map(|_| (0..vocabulary).map(|_| logit()).collect()).collect() }
    }

    fn logits(&self, token: u32) -> Result<&[f32], ModelError> {
        Ok(self.after.get(token as usize).ok_or("token outside the vocabulary")?)
    }

    fn ln_p(&self, token: u32, next: u32) -> Result<f64, ModelError> {
        let logits = self.logits(token)?;
        let next = *logits.get(next as usize).ok_or("token outside the vocabulary")?;
        Ok(f64::from(next) - logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln())
    }
}

impl LogitsModel for Bigram {
    fn read_logits(
        &mut self,
        texts: &[Arc<[u32]>],
        read: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), ModelError> {
        for (text, tokens) in texts.iter().enumerate().rev() {
            for (position, &token) in tokens.iter().enumerate().rev() {
                read(text, position, self.logits(token)?);
            }
        }
        Ok(())
    }
}

impl LanguageModel for Bigram {
    fn max_length(&self) -> usize {
        96
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let one = |request: &ScoreRequest| {
            let (mut last, mut log_likelihood) = (*request.context.last().ok_or("no context")?, 0.0);
            for &token in request.continuation.iter() {
                log_likelihood += self.ln_p(last, token)?;
                last = token;
            }
            Ok(Score { log_likelihood, greedy: false })
        };
        requests.iter().map(one).collect()
    }
}
