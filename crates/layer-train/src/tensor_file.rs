//! A file of tensors that is whole or not there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorView};

use crate::Error;

/// Numbers of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TensorNumbers<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
}

impl TensorNumbers<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::U8(bytes) => bytes.len(),
        }
    }
}

/// A name, numbers, and a shape.
pub(crate) type NamedTensor<'a> = (&'a str, TensorNumbers<'a>, Vec<usize>);

/// Writes tensors to a file that has its name when it is whole. Nobody waits for the disk: a kill loses nothing, a loss
/// of power may.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &[NamedTensor<'_>],
    metadata: HashMap<String, String>,
) -> Result<(), Error> {
    let failed = |source| Error::Write { file: path.to_owned(), source };
    let partial = path.with_extension("partial");
    let mut views = Vec::with_capacity(tensors.len());
    for (name, values, shape) in tensors {
        let (dtype, bytes) = match values {
            TensorNumbers::F32(numbers) => (Dtype::F32, bytemuck::cast_slice(numbers)),
            TensorNumbers::U8(bytes) => (Dtype::U8, *bytes),
        };
        let view = TensorView::new(dtype, shape.clone(), bytes);
        views.push((*name, view.map_err(|_| Error::State { file: path.to_owned() })?));
    }
    let written = safetensors::serialize_to_file(views, Some(metadata), &partial);
    let written = written.map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => source,
        other => std::io::Error::other(other),
    });
    written.and_then(|()| std::fs::rename(&partial, path)).map_err(|source| {
        // The write's own error matters more than whether a leftover could be removed.
        let _ = std::fs::remove_file(&partial);
        failed(source)
    })
}

/// A file of tensors that is read tensor by tensor, so that none is in memory twice.
pub(crate) struct TensorReader {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the first tensor begins.
    start: u64,
}

impl TensorReader {
    /// Opens a file; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::State`] for a file of another kind or a truncated one.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Read { file: path.to_owned(), source };
        let damaged = || Error::State { file: path.to_owned() };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let all = file.metadata().map_err(failed)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged())?;
        let start = u64::from_le_bytes(length).checked_add(8).filter(|start| *start <= all).ok_or_else(damaged)?;
        let mut header = vec![0; start as usize - 8];
        file.read_exact(&mut header).map_err(failed)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|_| damaged())?;
        let end = metadata.tensors().values().map(|tensor| tensor.data_offsets.1 as u64).max().unwrap_or(0);
        if end.checked_add(start) != Some(all) {
            return Err(damaged());
        }
        Ok(Some(Self { path: path.to_owned(), file, metadata, start }))
    }

    /// A text that was written with the tensors.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// Reads a tensor of f32 behind what `into` has.
    ///
    /// # Errors
    /// [`Error::State`] for one that is not there or of another type; [`Error::Read`].
    pub fn numbers(&mut self, name: &str, into: &mut Vec<f32>) -> Result<(), Error> {
        let bytes = self.seek(name, Dtype::F32)?;
        let before = into.len();
        into.resize(before + bytes / size_of::<f32>(), 0.0);
        // In this machine's order, as they were written.
        let read = self.file.read_exact(bytemuck::cast_slice_mut(&mut into[before..]));
        read.map_err(|source| Error::Read { file: self.path.clone(), source })
    }

    /// Reads a tensor of bytes.
    ///
    /// # Errors
    /// As of [`Self::numbers`].
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.seek(name, Dtype::U8)?];
        let read = self.file.read_exact(&mut bytes);
        read.map_err(|source| Error::Read { file: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// Goes to where a tensor begins, and returns its bytes.
    fn seek(&mut self, name: &str, dtype: Dtype) -> Result<usize, Error> {
        let damaged = || Error::State { file: self.path.clone() };
        let tensor = self.metadata.info(name).filter(|tensor| tensor.dtype == dtype).ok_or_else(damaged)?;
        let (begin, end) = tensor.data_offsets;
        let bytes = end.checked_sub(begin).ok_or_else(damaged)?;
        let place = SeekFrom::Start(self.start + begin as u64);
        self.file.seek(place).map_err(|source| Error::Read { file: self.path.clone(), source })?;
        Ok(bytes)
    }
}
