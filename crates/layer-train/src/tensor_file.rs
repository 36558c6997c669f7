//! A file of tensors that is whole or not there.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use crate::Error;

/// A name, numbers, and a shape.
pub(crate) type NamedTensor<'a> = (&'a str, &'a [f32], Vec<usize>);

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
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
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
