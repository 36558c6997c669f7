//! What can be wrong with merges and exports.

use std::path::PathBuf;

use layer_ir::{MethodError, Place};

/// What can be wrong with merges and exports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint or recipe.
    #[error(transparent)]
    Ir(#[from] layer_ir::Error),
    /// Something wrong at one place of a recipe.
    #[error("{place}: {source}")]
    At {
        /// Where.
        place: Place,
        /// What.
        source: Box<Error>,
    },
    /// A merge that its method cannot make.
    #[error(transparent)]
    Method(Box<MethodError>),
    /// Directions without a mean.
    #[error(
        "merge method `{method}`: the sources' directions cancel in tensor `{tensor}`, or all of its sources equal the \
         base; change a weight, or set `base_if_opposed: true` to keep the base there"
    )]
    Opposed {
        /// The method.
        method: String,
        /// The tensor.
        tensor: String,
    },
    /// Tensors of different shapes.
    #[error(
        "{file}: tensor `{tensor}` has shape {found:?}, others of its merge have {expected:?}",
        file = file.display()
    )]
    ShapeMismatch {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of the others.
        expected: Vec<usize>,
    },
    /// A method that broke the law of shapes.
    #[error(
        "merge method `{method}` made {found} numbers of {expected} for tensor `{tensor}`; a method must keep the \
         length"
    )]
    WrongLength {
        /// The method.
        method: String,
        /// The tensor.
        tensor: String,
        /// The length of its result.
        found: usize,
        /// The length of its piece.
        expected: usize,
    },
    /// An output layer that the recipe does not have.
    #[error("the recipe has {layers} layers; there is no output layer {layer}")]
    NoSuchLayer {
        /// The layer asked for.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// The device failed.
    #[error("tensor `{tensor}` cannot be read back from the device: {source}")]
    Device {
        /// The tensor.
        tensor: String,
        /// What the device says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Output scales in an architecture whose projections are not known.
    #[error(
        "output scales can only be written into the weights of known architectures, not `{architecture}`; set all \
         scales to 1"
    )]
    ScalesUnknown {
        /// The architecture.
        architecture: String,
    },
    /// A name that is in none of the tables, such as a checkpoint format, or one that is taken already.
    #[error(transparent)]
    Name(#[from] tailor_registry::Error),
    /// A checkpoint format that leaves something out, or writes it twice.
    #[error(
        "checkpoint format `{format}` does not place every element of tensor `{tensor}` once; this is a bug of the \
         format"
    )]
    Layout {
        /// The format.
        format: String,
        /// The tensor.
        tensor: String,
    },
    /// The output folder holds something.
    #[error(
        "{folder}: the folder is not empty; name another, empty it, or allow to overwrite it",
        folder = folder.display()
    )]
    OutputNotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The output is to replace what it is made of.
    #[error("{folder}: is one of the recipe's own models; name another folder", folder = folder.display())]
    OutputIsSource {
        /// The folder.
        folder: PathBuf,
    },
    /// The output is to replace a file that the recipe needs.
    #[error(
        "{folder}: holds {bridge}, a bridge of the recipe; name another folder",
        folder = folder.display(),
        bridge = bridge.display()
    )]
    OutputHoldsBridge {
        /// The folder.
        folder: PathBuf,
        /// The bridge's file.
        bridge: PathBuf,
    },
    /// The output is there and no folder.
    #[error("{path}: is not a folder; name another output", path = path.display())]
    OutputNotFolder {
        /// The path.
        path: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file's JSON cannot be made.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A shard's header cannot be made.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: safetensors::SafeTensorError,
    },
}

impl Error {
    /// Says where in the recipe it happened.
    pub(crate) fn at(self, place: Place) -> Self {
        match self {
            Self::At { .. } => self,
            source => Self::At { place, source: Box::new(source) },
        }
    }
}

impl From<MethodError> for Error {
    fn from(error: MethodError) -> Self {
        Self::Method(Box::new(error))
    }
}
