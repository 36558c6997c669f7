//! What a weight file says of a tensor, whatever its format.

use bytes::Bytes;

use crate::Dtype;

/// A tensor of a weight file.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub name: String,
    /// `Err` names a format that we do not compute with.
    pub dtype: Result<Dtype, String>,
    pub shape: Vec<usize>,
    pub place: Place,
}

/// Where the numbers of a tensor are, row-major.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the file, from the first byte to behind the last.
    File(std::ops::Range<usize>),
    /// In memory, as the file has them in another order.
    Memory(Bytes),
}
