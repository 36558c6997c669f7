//! What can go wrong with an objective, each with where and what to do: with its texts, with a model, with its values.

use std::path::PathBuf;

use crate::error::Error;
use crate::model::ModelError;

/// What can go wrong between calibration text and an objective. Texts are numbered from 0, in their calibration's
/// order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// A file cannot be read, a text not turned into tokens, a task has no such document.
    #[error(transparent)]
    Data(#[from] Error),

    // Calibration.
    /// Nothing to calibrate on.
    #[error("there is no calibration text; give at least one")]
    NoText,
    /// A text without tokens.
    #[error("calibration text {text} is empty; leave it out")]
    EmptyText {
        /// Its number.
        text: usize,
    },
    /// A file without texts.
    #[error("{file}: holds no text that is not blank")]
    NoTextInFile {
        /// The file.
        file: PathBuf,
    },
    /// A file whose name promises no known format.
    #[error("{file}: calibration text is read from .txt, .jsonl, .json, .csv and .parquet files")]
    UnknownFormat {
        /// The file.
        file: PathBuf,
    },
    /// A row without a text.
    #[error("{file}: row {row} has no text in a column `text`; its columns: {}", .columns.join(", "))]
    NoTextColumn {
        /// The file.
        file: PathBuf,
        /// The row, from 1.
        row: usize,
        /// What it has instead.
        columns: Vec<String>,
    },
    /// A window in which no token has another before it.
    #[error("a window of {window} tokens is too small: a text is a first token and at least one that it predicts")]
    WindowTooSmall {
        /// The window.
        window: usize,
    },
    /// Limits that leave nothing.
    #[error(
        "`max_texts` and `max_tokens` leave no calibration text: the first has {tokens} tokens; raise them, or lower \
         `window`"
    )]
    NothingWithinLimits {
        /// Tokens of the first text.
        tokens: usize,
    },
    /// A number that no text has.
    #[error("there are {len} calibration texts, so there is no text {text}")]
    NoSuchText {
        /// The number asked for.
        text: usize,
        /// Texts there are.
        len: usize,
    },

    // Models.
    /// The model failed.
    #[error("the model failed: {source}")]
    Model {
        /// Why.
        source: ModelError,
    },
    /// The model cannot see a whole text.
    #[error(
        "calibration text {text} has {tokens} tokens, but the model sees {max_length}; make the calibration with \
         `CalibrationOptions {{ window: Some({max_length}), .. }}`"
    )]
    TextTooLong {
        /// Its number.
        text: usize,
        /// Its length.
        tokens: usize,
        /// The model's window.
        max_length: usize,
    },
    /// A text of one token, which leaves none to predict.
    #[error("calibration text {text} has one token alone, so its likelihood says nothing; leave it out")]
    NothingToPredict {
        /// Its number.
        text: usize,
    },
    /// The model gave more or fewer answers than it was asked for.
    #[error("the model was asked {asked} questions and gave {answered} answers")]
    WrongCount {
        /// Requests.
        asked: usize,
        /// Answers.
        answered: usize,
    },
    /// Logits of another vocabulary.
    #[error(
        "calibration text {text}, position {position}: the model gives {found} logits where {expected} are expected; \
         only models of one vocabulary can be compared"
    )]
    Vocabulary {
        /// The text's number.
        text: usize,
        /// The position in it, from 0.
        position: usize,
        /// The vocabulary's size so far.
        expected: usize,
        /// The model's.
        found: usize,
    },
    /// Logits that are no distribution.
    #[error(
        "calibration text {text}, position {position}: the model's logits are no distribution: one is NaN or \
         infinite, or none is finite; is the model's arithmetic too narrow?"
    )]
    BadLogits {
        /// The text's number.
        text: usize,
        /// The position in it, from 0.
        position: usize,
    },
    /// The model does not read each position of each text once.
    #[error(
        "the model {problem} position {position} of text {text} of the call; `LogitsModel::read_logits` reads each \
         position once"
    )]
    Positions {
        /// The text's place in the call, from 0.
        text: usize,
        /// The position in it, from 0.
        position: usize,
        /// `reads again`, ...
        problem: &'static str,
    },
    /// A teacher that keeps nothing.
    #[error("a teacher that keeps 0 tokens of each distribution finds all models alike; let `k` be at least 1")]
    NothingKept,
    /// A stored teacher that contradicts itself.
    #[error(
        "the stored teacher is damaged: its text {text} does not fit what is kept of it; make it again with \
         `Teacher::of`"
    )]
    DamagedTeacher {
        /// The first such text.
        text: usize,
    },

    // Perplexity.
    /// Values that are not one per text.
    #[error("{values} values for {texts} calibration texts; give one per text, in their order")]
    WrongValues {
        /// Values.
        values: usize,
        /// Texts.
        texts: usize,
    },
}
