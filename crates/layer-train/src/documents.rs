//! What a model is trained on: documents of tokens, and what is wanted behind their tokens.

use std::iter::once;
use std::sync::Arc;

use crate::teacher::TeacherRows;
use crate::{Error, HiddenFile, HiddenTarget, Target, TeacherFile};

/// A document, from its beginning to the last token that is wanted.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its tokens, at least two.
    pub tokens: Vec<u32>,
    /// What the model is to predict.
    pub wanted: Wanted,
}

/// What a model is to predict within a document.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The document's own tokens from this place on, at least 1: its loss is their cross entropy.
    Tokens {
        /// The place of the first.
        from: usize,
    },
    /// What a teacher predicts behind each token from a place on: its loss is the divergence from that.
    Teacher {
        /// The teacher's predictions.
        teacher: Arc<TeacherFile>,
        /// The number of the first of them in the file.
        first: usize,
        /// The place of the token behind which the first of them stands.
        from: usize,
        /// Its streams there, the first of them with the same number.
        hidden: Option<Arc<HiddenFile>>,
    },
    /// The document's own tokens from a place on rather than those of wrong choices: its loss is
    /// `-b_0 - ln(exp b_0 / sum_c exp b_c)`, with `b_c` the mean log-likelihood of a choice's tokens and 0 the right
    /// one (Liu et al. 2022, T-Few, <https://arxiv.org/abs/2205.05638>, without its unlikelihood).
    Choice {
        /// The place of the right choice's first token, at least 1.
        from: usize,
        /// The others.
        wrong: Vec<WrongChoice>,
    },
}

/// A choice that is not the right one, behind its question.
#[derive(Debug, Clone)]
pub struct WrongChoice {
    /// Question and choice.
    pub tokens: Vec<u32>,
    /// The place of the choice's first token, at least 1.
    pub from: usize,
}

impl Document {
    /// How many rows count; a choice counts as one.
    #[must_use]
    pub fn counted(&self) -> usize {
        match &self.wanted {
            Wanted::Tokens { from } => self.tokens.len().saturating_sub((*from).max(1)),
            Wanted::Teacher { from, .. } => self.tokens.len().saturating_sub(*from),
            Wanted::Choice { from, .. } => usize::from(self.tokens.len() > (*from).max(1)),
        }
    }

    /// What a model reads of it: its tokens, then those of wrong choices.
    pub fn sequences(&self) -> impl Iterator<Item = &[u32]> {
        let wrong = match &self.wanted {
            Wanted::Choice { wrong, .. } => wrong.as_slice(),
            _ => &[],
        };
        once(self.tokens.as_slice()).chain(wrong.iter().map(|choice| choice.tokens.as_slice()))
    }

    /// Tokens of all that a model reads of it.
    #[must_use]
    pub fn read_tokens(&self) -> usize {
        self.sequences().map(<[u32]>::len).sum()
    }

    /// The predictions of its teacher; none without one.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(crate) fn teacher_rows(&self) -> Result<TeacherRows, Error> {
        match &self.wanted {
            Wanted::Tokens { .. } | Wanted::Choice { .. } => Ok(TeacherRows::default()),
            Wanted::Teacher { teacher, first, .. } => teacher.read(*first, self.counted()),
        }
    }

    /// The streams of its teacher, which must be as wide as the model's; none without them.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::HiddenWidth`].
    pub(crate) fn hidden_rows(&self, width: usize) -> Result<Vec<f32>, Error> {
        match &self.wanted {
            Wanted::Teacher { hidden: Some(hidden), first, .. } if hidden.width() == width => {
                hidden.read(*first, self.counted())
            }
            Wanted::Teacher { hidden: Some(hidden), .. } => {
                Err(Error::HiddenWidth { expected: width, found: hidden.width() })
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What is wanted behind the tokens of one of its sequences, the first of which is row `row` of a batch; each
    /// counts as the weights say, its prediction and its stream among `hidden`, which has none or one for each.
    pub(crate) fn add_targets<'a>(
        &'a self,
        sequence: usize,
        (teacher, hidden): (&'a TeacherRows, &'a [f32]),
        row: usize,
        (weight, hidden_weight): (f32, f32),
        into: &mut Vec<Target<'a>>,
    ) {
        let mut add_tokens = |tokens: &'a [u32], from: usize| {
            let wanted = tokens.iter().enumerate().skip(from.max(1));
            into.extend(wanted.map(|(place, token)| Target::token(row + place - 1, weight, token)));
        };
        match &self.wanted {
            Wanted::Tokens { from } => add_tokens(&self.tokens, *from),
            Wanted::Choice { from, wrong } => match sequence.checked_sub(1).map(|place| &wrong[place]) {
                None => add_tokens(&self.tokens, *from),
                Some(choice) => add_tokens(&choice.tokens, choice.from),
            },
            Wanted::Teacher { from, .. } => {
                let width = hidden.len() / self.counted().max(1);
                for (number, place) in (*from..self.tokens.len()).enumerate() {
                    let (tokens, ln_p, ln_rest) = teacher.row(number);
                    let stream = &hidden[number * width..(number + 1) * width];
                    let hidden = (width > 0).then_some(HiddenTarget { weight: hidden_weight, stream });
                    into.push(Target { row: row + place, weight, tokens, ln_p, ln_rest, hidden });
                }
            }
        }
    }

    /// Whether a model can be trained on it.
    ///
    /// # Errors
    /// [`Error::NothingCounts`] names its place `document` among the others.
    pub(crate) fn check(&self, document: usize) -> Result<(), Error> {
        if self.counted() == 0 { Err(Error::NothingCounts { document }) } else { Ok(()) }
    }
}
