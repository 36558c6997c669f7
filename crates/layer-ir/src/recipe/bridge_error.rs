//! What can be wrong with the file of a bridge.

/// What can be wrong with the file of a bridge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The file is not there, or may not be read.
    #[error("cannot be read: {0}; it belongs to the recipe: copy both")]
    Read(#[source] std::io::Error),
    /// A damaged or truncated file.
    #[error("not a whole safetensors file ({0}); copy or make it again")]
    Safetensors(#[source] safetensors::SafeTensorError),
    /// A file with other bytes than those that the recipe was written for.
    #[error("its BLAKE3 hash is {found}, the recipe says {expected}; is it the bridge of another recipe?")]
    OtherContent {
        /// The file's hash.
        found: String,
        /// As the recipe says.
        expected: String,
    },
    /// A file without a tensor.
    #[error("it holds no tensor; leave the bridge out")]
    Empty,
    /// A delta for a tensor that the layer does not have.
    #[error("the layer has no tensor `{tensor}`; its tensors are {known}")]
    NoSuchTensor {
        /// As stored.
        tensor: String,
        /// The layer's tensors.
        known: String,
    },
    /// A delta in another number format than f32.
    #[error("`{tensor}` is stored as {found}; store it in f32")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its format.
        found: String,
    },
    /// A delta of another shape than its tensor.
    #[error("`{tensor}` has shape {found:?}, the layer's tensor {expected:?}; is it the bridge of another model?")]
    Shape {
        /// The tensor.
        tensor: String,
        /// The delta's shape.
        found: Vec<usize>,
        /// The shape of the layer's tensor.
        expected: Vec<usize>,
    },
    /// A delta with a number that is infinite or not a number.
    #[error("element {element} of `{tensor}` is not a finite number; make the bridge again with a larger ridge")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The element's place, row-major, from 0.
        element: usize,
    },
}
