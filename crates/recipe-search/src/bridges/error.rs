//! What can go wrong between a calibration text and a bridge.

use std::path::{Path, PathBuf};

/// What can go wrong between a calibration text and a bridge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// There is no calibration text.
    #[error("the calibration text has no tokens; give at least one sequence of them")]
    NoTokens,
    /// There are fewer tokens than what is fitted has inputs.
    #[error(
        "{tokens} calibration tokens do not determine a fit on {inputs} inputs; give at least {inputs}, better {enough}"
    )]
    TooFewTokens {
        /// Tokens of the calibration text.
        tokens: usize,
        /// Numbers of a token that the fit reads.
        inputs: usize,
        /// From so many tokens on the fit is good.
        enough: usize,
    },
    /// Several ridges are to be tried, and no tokens are held back to try them on.
    #[error(
        "every {every}th calibration sequence is held back to choose among {ridges} ridges, and there are {sequences} \
         sequences; give more of them, or one ridge"
    )]
    NothingHeldBack {
        /// Sequences of the calibration text.
        sequences: usize,
        /// The settings' `held_back_every`.
        every: usize,
        /// How many ridges there are to choose from.
        ridges: usize,
    },
    /// No ridge is given, or one that is not a finite positive number.
    #[error("the ridges are {found:?}; give at least one, all of them positive, such as 0.01")]
    Ridges {
        /// As given.
        found: Vec<f64>,
    },
    /// A setting of the statistics makes no sense.
    #[error("`{key}` of the statistics is {found}; it must be at least {least}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: usize,
        /// The least value.
        least: usize,
    },
    /// The statistics would take more memory than they may.
    #[error(
        "the sums of the bridges and one fit take {needed} bytes beside the model, and may take {budget}; give more \
         memory, or take smaller gaps or less calibration text"
    )]
    Memory {
        /// Bytes that they would take.
        needed: u64,
        /// Bytes that they may take.
        budget: u64,
    },
    /// A layer computes infinities or no numbers at all.
    #[error(
        "layer {layer} gives a value that is not finite for token {position} of calibration sequence {sequence}; is \
         the checkpoint damaged, or its number format too narrow?"
    )]
    NotFinite {
        /// The layer.
        layer: usize,
        /// The sequence's place in the calibration text, from 0.
        sequence: usize,
        /// The token's position in it, from 0.
        position: usize,
    },
    /// The statistics have nothing on such a gap.
    #[error(
        "the statistics know no gap of {length} layers behind layer {after}: they are of {layers} layers and of gaps \
         of 1 to {largest}"
    )]
    UnknownGap {
        /// The layer before the gap.
        after: usize,
        /// Layers of the gap.
        length: usize,
        /// Layers of the model.
        layers: usize,
        /// Layers of the largest gap that is known.
        largest: usize,
    },
    /// The weight of a down projection has another size than the statistics.
    #[error(
        "the down projection has {found} numbers, the statistics are of {hidden} x {intermediate}; is it the one of \
         another model?"
    )]
    OtherDownProj {
        /// Numbers of the weight.
        found: usize,
        /// Its rows, if it fits.
        hidden: usize,
        /// Its columns, if it fits.
        intermediate: usize,
    },
    /// The fit's matrix is not positive definite, in spite of its ridge.
    #[error(
        "the statistics behind layer {after} cannot be solved with the ridge {ridge}: the inputs depend on each other; \
         give a larger ridge or more calibration text"
    )]
    Singular {
        /// The layer before the gap.
        after: usize,
        /// The ridge.
        ridge: f64,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file does not hold statistics.
    #[error(
        "{path}: no statistics of bridges, or those of another version of the program; take another name",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file's statistics are of another model, calibration text or settings.
    #[error(
        "{path}: these statistics were made from something else (`{found}`, expected `{expected}`); remove the file to \
         have them computed again",
        path = path.display()
    )]
    OtherStatistics {
        /// The file.
        path: PathBuf,
        /// The hash that stands in it.
        found: String,
        /// The hash that was asked for.
        expected: String,
    },
    /// A file of statistics is truncated or changed.
    #[error(
        "{path}: the statistics are damaged or not whole; remove the file to have them computed again",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The model could not be run.
    #[error(transparent)]
    Model(Box<layer_runtime::Error>),
}

impl FitError {
    /// Names the file an operating-system error is about.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// As [`FitError::io`], of a file of statistics that may end too early.
    pub(super) fn of_reading(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Damaged { path: path.to_path_buf() },
            _ => Self::io(path)(source),
        }
    }
}

impl From<layer_runtime::Error> for FitError {
    fn from(error: layer_runtime::Error) -> Self {
        Self::Model(Box::new(error))
    }
}
