//! What can go wrong in training, each with what to do about it.

use std::path::PathBuf;

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sequence without tokens.
    #[error("sequence {sequence} has no tokens; leave it out")]
    EmptySequence {
        /// Its place in the batch, from 0.
        sequence: usize,
    },
    /// A sequence beyond the model's window.
    #[error("sequence {sequence} has {length} tokens, the model sees {window}; cut it")]
    TooLong {
        /// Its place in the batch, from 0.
        sequence: usize,
        /// Its tokens.
        length: usize,
        /// The most that the model sees.
        window: usize,
    },
    /// A token beyond the embedding.
    #[error("sequence {sequence} has token {token}, the model knows {vocabulary}; was it made by another tokenizer?")]
    UnknownToken {
        /// Its place in the batch, from 0.
        sequence: usize,
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// A layer has a tensor that the architecture's description does not have, so no gradient is known for it.
    #[error("`{name}` is no part of a Llama-like layer, so it cannot be trained; train a model without it")]
    UntrainableTensor {
        /// The tensor.
        name: String,
    },
    /// No layer is trained, or one that is not there.
    #[error("no layer of the model is to be trained; name some of its {layers} layers, from 0")]
    NothingToTrain {
        /// Layers of the model.
        layers: usize,
    },
    /// Nothing to learn from, or nothing to see by when to stop.
    #[error("{training} documents to train on and {validation} held back; at least one of each is needed")]
    NoDocument {
        /// Documents to train on.
        training: usize,
        /// Documents held back.
        validation: usize,
    },
    /// A document without a row that counts.
    #[error("document {document} has no token that counts; leave it out")]
    NothingCounts {
        /// Its place, from 0, the held-back ones behind the others.
        document: usize,
    },
    /// The loss or the gradients are no numbers any more.
    #[error("the loss of step {step} is not finite; a lower learning rate helps")]
    NotFinite {
        /// The step, from 1.
        step: usize,
    },
    /// A teacher's prediction of another size than its file's.
    #[error("a prediction of {found} tokens for a file of predictions of {expected}")]
    TeacherRow {
        /// Tokens of each row of the file.
        expected: usize,
        /// Tokens of the row.
        found: usize,
    },
    /// A teacher's stream of another width than its file's, or with numbers that are none.
    #[error("a teacher's stream of {found} numbers for a file of streams of {expected} finite numbers")]
    HiddenRow {
        /// Numbers of each row of the file.
        expected: usize,
        /// Numbers of the row.
        found: usize,
    },
    /// Hidden states are to be learnt by what learns from logits alone.
    #[error("this learner learns no hidden states; set their weight to 0, or train on the CPU")]
    HiddenUnsupported,
    /// What learns keeps gradients and moments in another way than the settings say, or than the state has them.
    #[error(
        "this learner keeps gradients and moments in another way than the settings say; only the CPU's can be compact"
    )]
    OptimizerMemory,
    /// Low-rank additions with compact gradients and moments.
    #[error(
        "low-rank additions are few numbers, whose gradients and moments are kept as they are; train without compact memory"
    )]
    CompactAdditions,
    /// A teacher's streams are not as wide as the model's.
    #[error(
        "the streams of the teacher have {found} numbers, the model's {expected}; only a model of the same width has \
         hidden states to learn"
    )]
    HiddenWidth {
        /// The model's.
        expected: usize,
        /// The teacher's.
        found: usize,
    },
    /// A file that is no teacher's.
    #[error("{file}: not the whole file of a teacher's predictions or streams; remove it, and it is made again")]
    TeacherFile {
        /// The file.
        file: PathBuf,
    },
    /// A file that is no state of a training.
    #[error("{file}: not the whole state of a training; remove it, and the training begins anew")]
    State {
        /// The file.
        file: PathBuf,
    },
    /// A file that cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("{file}: cannot be written: {source}")]
    Write {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A type of products that a device does not have.
    #[cfg(feature = "burn")]
    #[error("this device cannot train in {found:?}; f32 works on every device, bf16 on those that have it")]
    UnsupportedCompute {
        /// The type.
        found: layer_ir::Dtype,
    },
    /// A device that fails: out of memory, or the driver's message.
    #[cfg(feature = "burn")]
    #[error("the device failed: {0}; less memory is needed with fewer tokens at once and fewer kept activations")]
    Device(#[from] burn::tensor::TensorReadError),
    /// From layer-ir: a checkpoint that cannot be read.
    #[error(transparent)]
    Ir(#[from] layer_ir::Error),
}
