//! How surprising calibration texts are for a model.
//!
//! With the tokens t_0 ... t_n of a text:
//!
//! ```text
//! value of a text   -(1/n) sum over i = 1 ... n of ln p(t_i | t_0 ... t_(i-1))       nats per token, from 0
//! perplexity        exp of the mean of that over all predicted tokens of all texts    from 1; less is better
//! ```
//!
//! It depends on the tokenizer, so it compares models of one vocabulary only; those of a task file by words and bytes
//! are in [`metrics`](crate::metrics).

use std::sync::Arc;

use super::calibration::Calibration;
use super::error::ObjectiveError;
use super::logit_reader::TextSelection;
use crate::metrics::{Aggregation, Observation, WeightedPerplexity};
use crate::model::{LanguageModel, Score, ScoreRequest};

/// For each text its mean -ln p per token, in nats: of all tokens but the first, each given those before it.
///
/// It asks no more of a model than to score. Their mean, an objective that a race can take text by text, is the
/// logarithm of the [`perplexity`] where the texts are of one length.
///
/// ```
/// use task_eval::{Calibration, negative_log_likelihoods, perplexity};
/// # mod bigram { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bigram.rs")); }
/// # let mut model = bigram::Bigram::uniform(400);
///
/// let calibration = Calibration::new(vec![[1, 17, 5].into(), [1, 9].into()])?;
/// let each = negative_log_likelihoods(&mut model, &calibration)?;
/// // This model finds all 400 tokens equally likely.
/// assert!((each[0] - 400_f64.ln()).abs() < 1e-6);
/// assert!((perplexity(&calibration, &each)? - 400.0).abs() < 1e-3);
/// # Ok::<(), task_eval::ObjectiveError>(())
/// ```
///
/// # Errors
/// [`ObjectiveError::NothingToPredict`] for a text of one token, [`ObjectiveError::TextTooLong`] for a model whose
/// window is smaller than a text, [`ObjectiveError::Model`] and [`ObjectiveError::WrongCount`] for a model that fails.
pub fn negative_log_likelihoods(
    model: &mut dyn LanguageModel,
    calibration: &Calibration,
) -> Result<Vec<f64>, ObjectiveError> {
    score(model, &TextSelection::all(calibration.texts()))
}

/// As [`negative_log_likelihoods`], of the texts with these numbers, from 0, in their order.
///
/// # Errors
/// As [`negative_log_likelihoods`]; [`ObjectiveError::NoSuchText`] for a number beyond the calibration.
pub fn negative_log_likelihoods_of(
    model: &mut dyn LanguageModel,
    calibration: &Calibration,
    texts: &[usize],
) -> Result<Vec<f64>, ObjectiveError> {
    score(model, &TextSelection::new(calibration.texts(), texts)?)
}

/// The perplexity of a calibration, `exp` of the mean -ln p of all its predicted tokens, from what
/// [`negative_log_likelihoods`] says of each text. A long text counts for more than a short one, by its tokens.
///
/// # Errors
/// [`ObjectiveError::WrongValues`] unless there is one value for each text.
pub fn perplexity(calibration: &Calibration, values: &[f64]) -> Result<f64, ObjectiveError> {
    if values.len() != calibration.len() {
        return Err(ObjectiveError::WrongValues { values: values.len(), texts: calibration.len() });
    }
    let observe = |(text, value): (&Arc<[u32]>, &f64)| {
        let count = text.len() - 1;
        Observation::Weighted { log_likelihood: -value * count as f64, count }
    };
    let observations: Vec<Observation> = calibration.texts().iter().zip(values).map(observe).collect();
    Ok(WeightedPerplexity.aggregate(&observations.iter().collect::<Vec<_>>(), 0).value)
}

/// The value of each of these texts.
fn score(model: &mut dyn LanguageModel, chosen: &TextSelection) -> Result<Vec<f64>, ObjectiveError> {
    chosen.check_fit(model.max_length())?;
    let request = |(&text, tokens): (&usize, &Arc<[u32]>)| match tokens.split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            Ok(ScoreRequest { context: [*first].into(), continuation: rest.into() })
        }
        _ => Err(ObjectiveError::NothingToPredict { text }),
    };
    let requests = chosen.numbers.iter().zip(&chosen.texts).map(request).collect::<Result<Vec<_>, _>>()?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let scores = model.score(&requests).map_err(|source| ObjectiveError::Model { source })?;
    if scores.len() != requests.len() {
        return Err(ObjectiveError::WrongCount { asked: requests.len(), answered: scores.len() });
    }
    let one = |(request, score): (&ScoreRequest, &Score)| -score.log_likelihood / request.continuation.len() as f64;
    Ok(requests.iter().zip(&scores).map(one).collect())
}
