//! What tensors are read from: the seam behind which a [`Checkpoint`](crate::Checkpoint) finds its weights.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Dtype, Error};

/// Where the tensors of a model are: safetensors files behind [`Checkpoint::open`](crate::Checkpoint::open), or yours
/// behind [`Checkpoint::of`](crate::Checkpoint::of).
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
///         Some(TensorView { name, file: "nowhere".into(), dtype: Dtype::F32, shape: vec![1], data, opened: None })
///     }
/// }
/// ```
pub trait TensorSource: fmt::Debug + Send + Sync {
    /// The names of all tensors, in the order in which they are stored.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// One of them; `None` if there is none of that name.
    fn get(&self, name: &str) -> Option<TensorView>;
}

/// One stored tensor: its bytes are a piece of the mapped file. Cloning shares them.
#[derive(Debug, Clone)]
pub struct TensorView {
    /// Its name in the checkpoint.
    pub name: String,
    /// The file that holds it.
    pub file: PathBuf,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<usize>,
    /// Its numbers, little-endian, row-major; not aligned. None in an outline
    /// ([`Checkpoint::open_outline`](crate::Checkpoint::open_outline)).
    pub data: Bytes,
    /// The file itself, where the numbers are in one.
    pub opened: Option<OpenedFile>,
}

/// An opened file, and where in it a tensor begins.
#[derive(Debug, Clone)]
pub struct OpenedFile {
    /// The file.
    pub file: Arc<File>,
    /// The place of the first number, in bytes.
    pub offset: u64,
}

impl TensorView {
    /// Its numbers as f32, row-major.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.dtype.to_f32(&self.data)
    }

    /// Copies its bytes from a place on, as many as `into` takes. A large copy from the file is faster than its mapped
    /// pages, of which the system brings in each by itself.
    ///
    /// # Errors
    /// [`Error::Read`]; so many bytes are not there.
    pub fn read(&self, start: usize, into: &mut [u8]) -> Result<(), Error> {
        self.read_bytes(start, into).map_err(|source| Error::Read { file: self.file.clone(), source })
    }

    /// As [`Self::read`], with the error of the system.
    pub(crate) fn read_bytes(&self, start: usize, into: &mut [u8]) -> io::Result<()> {
        let Some(OpenedFile { file, offset }) = &self.opened else {
            let bytes = start.checked_add(into.len()).and_then(|end| self.data.get(start..end));
            into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            return Ok(());
        };
        read_at(file, offset + start as u64, into)
    }

    /// How many bytes its numbers take, be they here or not.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        (self.elements() * self.dtype.size_in_bytes()) as u64
    }

    /// How many numbers it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Reads from a place of a file, as many bytes as `into` takes, without moving the file's cursor.
#[cfg(unix)]
fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

/// Reads from a place of a file, as many bytes as `into` takes.
#[cfg(windows)]
fn read_at(file: &File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (into, offset) = (&mut into[read..], offset + read as u64),
        }
    }
    Ok(())
}
