//! What tensors are read from.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::Dtype;

/// Where the tensors of a model are: safetensors files behind [`Checkpoint::open`](crate::Checkpoint::open), or yours behind
/// [`Checkpoint::of`](crate::Checkpoint::of).
///
/// Both calls are cheap: no numbers are read or copied. The names do not change.
/// ```
/// use layer_ir::{Dtype, TensorSource, TensorView};
///
/// /// A model of which every tensor is the same.
/// #[derive(Debug)]
/// struct Constant { names: Vec<String>, value: f32 }
///
/// impl TensorSource for Constant {
///     fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
///         Box::new(self.names.iter().map(String::as_str))
///     }
///     fn get(&self, name: &str) -> Option<TensorView> {
///         let name = self.names.iter().find(|known| *known == name)?.clone();
///         let data = self.value.to_le_bytes().to_vec().into();
///         Some(TensorView { name, file: "nowhere".into(), dtype: Dtype::F32, shape: vec![1], data })
///     }
/// }
/// ```
pub trait TensorSource: fmt::Debug + Send + Sync {
    /// The names of all tensors, in the order in which they are stored.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// One of them; `None` if there is none of that name.
    fn get(&self, name: &str) -> Option<TensorView>;
}

/// One stored tensor: its bytes are a piece of the mapped file.
#[derive(Debug, Clone)]
pub struct TensorView {
    /// Its name in the checkpoint.
    pub name: String,
    /// The file that holds it.
    pub file: PathBuf,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, little-endian, row-major; not aligned.
    pub data: Bytes,
}

impl TensorView {
    /// Its numbers as f32, row-major.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.dtype.to_f32(&self.data)
    }

    /// How many numbers it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}
