//! What can go wrong when a recipe is run.

use layer_ir::Role;

/// What can go wrong when a recipe is run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device's name is not one of ours.
    #[error("device `{name}` is unknown; write cpu, cuda, cuda:INDEX, wgpu or wgpu:INDEX")]
    UnknownDevice {
        /// As asked for.
        name: String,
    },
    /// This binary was built without the device's backend.
    #[error("device `{name}` is not in this binary; build it with `--features {feature}`")]
    DeviceNotBuilt {
        /// As asked for.
        name: String,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// No driver knows of a device of the kind.
    #[error("device `{name}` was not found: no driver knows of a device of its kind; is the driver installed?")]
    NoDriver {
        /// As asked for.
        name: String,
    },
    /// There are fewer devices of the kind than the number says.
    #[error("device `{name}` was not found: this machine has {found} of its kind, counted from 0")]
    NoSuchDevice {
        /// As asked for.
        name: String,
        /// How many devices of the kind there are.
        found: usize,
    },
    /// The device is there, but the first operation on it failed.
    #[error("device `{name}` does not work: its first operation failed; its driver's message stands above")]
    DeviceFailed {
        /// As asked for.
        name: String,
    },
    /// The device does not compute in this type.
    #[error("this device does not compute in {dtype:?}; choose f32, or a type that it has")]
    UnsupportedDtype {
        /// As asked for.
        dtype: layer_ir::Dtype,
    },
    /// `TAILOR_CPU` names an instruction set that this processor lacks.
    #[error(transparent)]
    InstructionSet(#[from] tailor_simd::Error),
    /// The options name an engine that is not in the table.
    #[error(transparent)]
    UnknownEngine(#[from] tailor_registry::Error),
    /// The options name an engine that cannot use the device.
    #[error("the engine `{engine}` does not compute on this device; name no engine to take the fastest one that does")]
    EngineOfAnotherDevice {
        /// The engine's name.
        engine: &'static str,
    },
    /// A tensor that the decoder cannot use would be left out.
    #[error("tensor `{suffix}` of the layers has no role in the decoder; the model cannot be run faithfully")]
    UnknownTensor {
        /// The tensor's name within its layer.
        suffix: String,
    },
    /// A tensor that every layer needs is not in the checkpoint.
    #[error("the layers have no tensor for {role:?}; is the checkpoint whole?")]
    MissingTensor {
        /// What it would be.
        role: Role,
    },
    /// A tensor does not have as many elements as the config says.
    #[error(
        "the tensor for {role:?} has {found} elements, the config says {expected}; is this the config of another model?"
    )]
    WrongSize {
        /// What the tensor is.
        role: Role,
        /// Its elements.
        found: usize,
        /// The elements that fit the config.
        expected: usize,
    },
    /// A tensor outside of the layers (embedding, final norm, head) does not have as many elements as the config says.
    #[error("the {tensor} has {found} elements, the config says {expected}; is this the config of another model?")]
    WrongOuterTensorSize {
        /// `embedding`, `final norm` or `head`.
        tensor: &'static str,
        /// Its elements.
        found: usize,
        /// The elements that fit the config.
        expected: usize,
    },
    /// A tensor outside of the layers that every model needs is not in the checkpoint.
    #[error("the model has no {tensor}; is the checkpoint whole?")]
    MissingOuterTensor {
        /// `embedding` or `final norm`.
        tensor: &'static str,
    },
    /// A sequence or a continuation without tokens.
    #[error("request {index} has no tokens to compute; give at least one")]
    Empty {
        /// Which request of the call, from 0.
        index: usize,
    },
    /// A token that is not in the embedding.
    #[error(
        "request {index} has token {token}, the model knows {vocabulary} tokens; is this the tokenizer of another \
         model?"
    )]
    UnknownToken {
        /// Which request of the call, from 0.
        index: usize,
        /// The token's id.
        token: u32,
        /// The embedding's rows.
        vocabulary: usize,
    },
    /// A request has more tokens than the model's context length.
    #[error("request {index} has {length} tokens, the model sees {max_length} at most; cut the context")]
    TooLong {
        /// Which request of the call, from 0.
        index: usize,
        /// Its tokens.
        length: usize,
        /// The model's context length.
        max_length: usize,
    },
    /// A layer that the recipe does not have is to run alone.
    #[error("the recipe has no layer {layer}: it has {layers}, counted from 0")]
    NoSuchLayer {
        /// The layer.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// A residual stream that a layer is to run on does not fit its sequence.
    #[error(
        "the stream of sequence {sequence} has {found} numbers, its tokens need {expected}; give one for each sequence"
    )]
    StreamSize {
        /// The sequence's place in the call, from 0.
        sequence: usize,
        /// Numbers of the stream.
        found: usize,
        /// The sequence's tokens times the numbers of a row.
        expected: usize,
    },
    /// A recipe or a checkpoint could not be read.
    #[error(transparent)]
    Recipe(#[from] layer_ir::Error),
    /// A layer could not be built.
    #[error(transparent)]
    Merge(#[from] merge_ops::Error),
    /// The device could not finish its work.
    #[error(
        "the device could not finish a pass; if its memory is too small, lower the batch's tokens or the bank's bytes"
    )]
    Device(#[from] burn::tensor::ExecutionError),
    /// The device answered in another number type than asked for.
    #[error("the device's answer could not be read")]
    Read(#[from] burn::tensor::DataError),
    /// The device's answer could not be fetched: as [`Error::Device`] or [`Error::Read`].
    #[error(
        "the device's answer could not be fetched; if its memory is too small, lower the batch's tokens or the bank's \
         bytes"
    )]
    Fetch(#[from] burn::tensor::TensorReadError),
}
