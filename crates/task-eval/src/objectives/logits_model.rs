//! The seam for objectives that need whole distributions: what a model expects after each token.

use std::sync::Arc;

use crate::model::{LanguageModel, ModelError};

/// A model whose distributions of the next token can be read.
///
/// Laws: (1) [`read_logits`](Self::read_logits) reads each position of each text exactly once, in any order; (2) the
/// logits have one length, the size of the vocabulary; none is NaN or infinite, but for tokens that are impossible
/// (minus infinity); (3) those of a position depend on the tokens of its text up to it alone, not on the other texts
/// of the call; (4) they agree with [`score`](LanguageModel::score): the ln of their softmax, summed over a
/// continuation, is its log-likelihood; (5) an error means that nothing of the call counts.
///
/// Texts may begin alike, as the prompts of one task do, so that an implementation can compute shared prefixes once:
/// hence no promised order.
///
/// A whole model, which looks at the last token alone:
///
/// ```
/// use std::sync::Arc;
/// use task_eval::{LanguageModel, LogitsModel, ModelError, Score, ScoreRequest};
///
/// struct Bigram {
///     /// For each token the ln p of the one after it.
///     after: Vec<Vec<f32>>,
/// }
///
/// impl LogitsModel for Bigram {
///     fn read_logits(
///         &mut self,
///         texts: &[Arc<[u32]>],
///         read: &mut dyn FnMut(usize, usize, &[f32]),
///     ) -> Result<(), ModelError> {
///         for (text, tokens) in texts.iter().enumerate() {
///             for (position, &token) in tokens.iter().enumerate() {
///                 read(text, position, self.after.get(token as usize).ok_or("token outside the vocabulary")?);
///             }
///         }
///         Ok(())
///     }
/// }
///
/// impl LanguageModel for Bigram {
///     fn max_length(&self) -> usize {
///         2048
///     }
///
///     fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
///         let one = |request: &ScoreRequest| {
///             let mut score = Score { log_likelihood: 0.0, greedy: true };
///             let mut last = *request.context.last().ok_or("no context")?;
///             for &token in request.continuation.iter() {
///                 let after = self.after.get(last as usize).ok_or("token outside the vocabulary")?;
///                 let ln_p = *after.get(token as usize).ok_or("token outside the vocabulary")?;
///                 score.log_likelihood += f64::from(ln_p);
///                 let beats = |(other, x): (usize, &f32)| *x > ln_p || (*x == ln_p && (other as u32) < token);
///                 score.greedy &= !after.iter().enumerate().any(beats);
///                 last = token;
///             }
///             Ok(score)
///         };
///         requests.iter().map(one).collect()
///     }
/// }
///
/// let mut model = Bigram { after: vec![vec![0.25_f32.ln(), 0.75_f32.ln()], vec![0.5_f32.ln(); 2]] };
/// let text: Arc<[u32]> = [0, 1].into();
/// let mut seen = Vec::new();
/// model.read_logits(&[text], &mut |_, position, logits| seen.push((position, logits.to_vec())))?;
/// assert_eq!(seen.len(), 2, "after 0, and after 1");
/// # Ok::<(), ModelError>(())
/// ```
pub trait LogitsModel: LanguageModel {
    /// Calls `read(text, position, logits)` for every position of every text: the logits (ln p up to one constant) of
    /// the token that comes after `position`, one number per token of the vocabulary, in order. The last position has
    /// its logits, too, though the text does not say what comes there.
    ///
    /// Each text has at least one and at most [`max_length`](LanguageModel::max_length) tokens.
    ///
    /// # Errors
    /// Whatever keeps the model from answering; nothing that was read counts then.
    fn read_logits(
        &mut self,
        texts: &[Arc<[u32]>],
        read: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), ModelError>;
}
