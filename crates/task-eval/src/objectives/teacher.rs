//! How far a model's predictions are from those of a better one.

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::error::ObjectiveError;
use super::logit_reader::{TextSelection, read_positions};
use super::logits_model::LogitsModel;
use super::top_tokens::TopTokens;
use crate::metrics::mean;

/// What one model, such as the base or the best parent for a task, predicts after each token of a calibration; others
/// are compared with it.
///
/// Of each distribution the `k` most likely tokens are kept and the mass of the rest, 8 bytes a token. The divergence
/// of a student is, in nats and at each position,
///
/// ```text
/// sum over the kept tokens of p ln(p / q)  +  p_rest ln(p_rest / q_rest)          p: teacher, q: student
/// ```
///
/// the Kullback-Leibler divergence with all other tokens taken as one. It is 0 for the teacher itself, never below,
/// grows with `k`, and with the whole vocabulary kept is the full divergence (data-processing inequality: Cover and
/// Thomas, *Elements of Information Theory*, 2006, section 2.8). A ln q below -708, such as that of a token which is
/// impossible for the student, counts as -708.
///
/// ```
/// use task_eval::{Calibration, Teacher};
/// # mod bigram { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bigram.rs")); }
/// # use bigram::Bigram;
/// # let (mut parent, mut candidate) = (Bigram::random(400, 1), Bigram::random(400, 2));
///
/// let calibration = Calibration::new(vec![[1, 17, 5].into(), [1, 9].into()])?;
/// let teacher = Teacher::of(&mut parent, &calibration, 64)?;
/// let each = teacher.divergence(&mut candidate)?;
/// assert_eq!(each.len(), 2, "one value per text");
/// assert!(each.iter().all(|nats| *nats > 0.0));
/// assert_eq!(teacher.divergence_of(&mut candidate, &[1])?, each[1..]);
/// # Ok::<(), task_eval::ObjectiveError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredTeacher")]
pub struct Teacher {
    /// How many tokens the models know.
    vocabulary: usize,
    /// How many tokens of each distribution are kept at most.
    k: usize,
    texts: Calibration,
    /// For each text, for each of its positions.
    predictions: Vec<Vec<TopTokens>>,
}

impl Teacher {
    /// Reads what `model` predicts after each token of the calibration, and keeps the `k` most likely tokens of each
    /// prediction, or all if there are fewer. With `k` of some dozens little of the divergence is lost, as the rest
    /// has little mass.
    ///
    /// # Errors
    /// [`ObjectiveError::NothingKept`] for `k` of 0; [`ObjectiveError::TextTooLong`], [`ObjectiveError::Positions`],
    /// [`ObjectiveError::BadLogits`] and [`ObjectiveError::Model`] for a model that cannot read the texts or breaks
    /// the laws of [`LogitsModel`].
    pub fn of(model: &mut dyn LogitsModel, calibration: &Calibration, k: usize) -> Result<Self, ObjectiveError> {
        if k == 0 {
            return Err(ObjectiveError::NothingKept);
        }
        let mut vocabulary = None;
        let predictions = read_positions(model, &TextSelection::all(calibration.texts()), |text, position, logits| {
            let expected = *vocabulary.get_or_insert(logits.len());
            check_vocabulary(text, position, expected, logits.len())?;
            TopTokens::of(logits, k).ok_or(ObjectiveError::BadLogits { text, position })
        })?;
        Ok(Self { vocabulary: vocabulary.unwrap_or_default(), k, texts: calibration.clone(), predictions })
    }

    /// The texts that students are compared on.
    pub fn calibration(&self) -> &Calibration {
        &self.texts
    }

    /// How many tokens of each distribution are kept at most.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many tokens the models know.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// For each text the mean over its positions of the student's divergence from this teacher, in nats.
    ///
    /// # Errors
    /// [`ObjectiveError::Vocabulary`] for a student of another vocabulary, [`ObjectiveError::TextTooLong`] for one of
    /// a smaller window, [`ObjectiveError::BadLogits`] for logits that are no distribution, [`ObjectiveError::Model`]
    /// for one that fails.
    pub fn divergence(&self, student: &mut dyn LogitsModel) -> Result<Vec<f64>, ObjectiveError> {
        self.divergence_on(student, &TextSelection::all(self.texts.texts()))
    }

    /// As [`Teacher::divergence`], of the texts with these numbers, from 0, in their order: a race scores some texts
    /// first, and the others only for the candidates that are still in it.
    ///
    /// # Errors
    /// As [`Teacher::divergence`]; [`ObjectiveError::NoSuchText`] for a number beyond the calibration.
    pub fn divergence_of(&self, student: &mut dyn LogitsModel, texts: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        self.divergence_on(student, &TextSelection::new(self.texts.texts(), texts)?)
    }

    /// The mean divergence of each of these texts.
    fn divergence_on(&self, student: &mut dyn LogitsModel, chosen: &TextSelection) -> Result<Vec<f64>, ObjectiveError> {
        let positions = read_positions(student, chosen, |text, position, logits| {
            check_vocabulary(text, position, self.vocabulary, logits.len())?;
            let prediction = &self.predictions[text][position];
            prediction.divergence(logits).ok_or(ObjectiveError::BadLogits { text, position })
        })?;
        Ok(positions.iter().map(|nats| mean(nats)).collect())
    }
}

/// Whether a model's logits are of the vocabulary so far.
fn check_vocabulary(text: usize, position: usize, expected: usize, found: usize) -> Result<(), ObjectiveError> {
    if found == expected { Ok(()) } else { Err(ObjectiveError::Vocabulary { text, position, expected, found }) }
}

/// A teacher as a file has it: as [`Teacher`] wants it only if nobody changed it.
#[derive(Deserialize)]
struct StoredTeacher {
    vocabulary: usize,
    k: usize,
    texts: Calibration,
    predictions: Vec<Vec<TopTokens>>,
}

impl TryFrom<StoredTeacher> for Teacher {
    type Error = ObjectiveError;

    fn try_from(stored: StoredTeacher) -> Result<Self, ObjectiveError> {
        let StoredTeacher { vocabulary, k, texts, predictions } = stored;
        let sound = |text: usize| {
            let tokens = texts.texts().get(text).map(|tokens| tokens.len());
            tokens == predictions.get(text).map(Vec::len)
                && predictions[text].iter().all(|prediction| prediction.is_sound(vocabulary))
        };
        match (0..texts.len().max(predictions.len())).find(|&text| !sound(text)) {
            Some(text) => Err(ObjectiveError::DamagedTeacher { text }),
            None => Ok(Self { vocabulary, k, texts, predictions }),
        }
    }
}
